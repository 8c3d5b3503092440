"""What people write who are used to something else, and what is written here instead."""

import re

from policies.engine import aggregates

SIGNS = {"=>": ">=", "=<": "<=", "<>": "!=", "===": "=="}
"""Two signs in a row that were meant as one."""

CHARACTERS = {
    "\u2265": "write `>=`",
    "\u2264": "write `<=`",
    "\u2260": "write `!=`",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "%": "write a percentage as a plain number, without `%`",
    ";": "write `and` or `or`; what is to be done stands in the policy's `action`",
    "#": "a sentence has no comments; the policy's `description` is the place for them",
    "*": "there is no arithmetic but one `/` between two metrics; a pattern goes in double quotes",
    "+": "there is no arithmetic but one `/` between two metrics",
    "-": "there is no arithmetic but one `/` between two metrics; a negative number has no space after its `-`",
    **dict.fromkeys("'`\u201c\u201d\u2018\u2019\u00ab\u00bb", 'use double quotes: "..."'),
}
"""Characters that begin nothing in a sentence."""

_ASK = 'ask a Prometheus: `promql "..."`'
_SIGN_FOR = {
    **dict.fromkeys(("above", "over", "exceeds", "exceed", "greater", "more", "higher", "gt"), ">"),
    **dict.fromkeys(("below", "under", "less", "lower", "fewer", "lt"), "<"),
    **dict.fromkeys(("equals", "equal", "eq"), "=="),
    **dict.fromkeys(("gte", "ge"), ">="),
    **dict.fromkeys(("lte", "le"), "<="),
}
_BAND = "say when it is wrong, as in `outside 10..90`; `not` before the whole turns it round"
_COMPARING = {
    **{word: f"write `{sign}`" for word, sign in _SIGN_FOR.items()},
    **dict.fromkeys(("is", "are", "was", "has", "goes"), "leave it out and write a sign: `> 90`, `< 10`, `== 0`"),
    **dict.fromkeys(("between", "inside", "within"), _BAND),
    "not": "`not` stands before the whole comparison, as in `not replicas_ready >= 2`",
    "anomaly": "write `anomalous over 1h`",
    "bool": "leave it out: a comparison is true or false already",
    "without": "name the tags to keep, as in `sum(errors by zone)`",
    **dict.fromkeys(("ignoring", "group_left", "group_right", "offset"), _ASK),
}
_BEGIN = "leave it out: a sentence begins with what is wrong"
_OPENING = dict.fromkeys(("if", "when", "alert", "where", "while"), _BEGIN)
_WINDOW = "a window stands with its aggregate, as in `avg(cpu_percent, 5m) > 90`"
_FOLLOWING = {
    "unless": "write `and not`",
    ",": "write `and`",
    "over": _WINDOW,
    "in": _WINDOW,
    "during": _WINDOW,
    "then": "a condition says what is wrong; what is to be done stands in the policy's `action`",
    "offset": _ASK,
    "/": "there is no arithmetic but one `/` between two metrics",
}
_PROMQL = (
    "histogram_quantile",
    "deriv",
    "topk",
    "bottomk",
    "label_replace",
    "label_join",
    "clamp",
    "clamp_min",
    "clamp_max",
    "abs",
    "ceil",
    "floor",
    "round",
    "time",
    "vector",
    "scalar",
    "group",
    "resets",
    "holt_winters",
    "double_exponential_smoothing",
    "stdvar",
    "count_values",
)
_FUNCTIONS = {
    **dict.fromkeys(("mean", "average", "avg_over_time"), "write `avg(..., 5m)`"),
    "median": "write `p50(..., 5m)`",
    **dict.fromkeys(("stdev", "std", "sd", "stddev_over_time"), "write `stddev(..., 5m)`"),
    **dict.fromkeys(("maximum", "max_over_time"), "write `max(..., 5m)`"),
    **dict.fromkeys(("minimum", "min_over_time"), "write `min(..., 5m)`"),
    **dict.fromkeys(("total", "sum_over_time"), "write `sum(..., 5m)`"),
    "count_over_time": "write `count(..., 5m)`",
    "last_over_time": "write `last(..., 5m)`",
    "quantile_over_time": "write `quantile(0.95, ..., 5m)`",
    "irate": "write `rate(..., 5m)`",
    "idelta": "write `delta(..., 5m)`",
    **dict.fromkeys(("absent", "absent_over_time"), "write `no heartbeat for 2m`"),
    "predict_linear": "write `disk_percent > 95 within 4h, from 6h`",
    **{name: f"there is no `{name}` here; {_ASK}" for name in _PROMQL},
}
_PERCENTILE = re.compile(r"p[0-9.]+")
_RANGE = re.compile(r"\[\s*([0-9]+[smhd])\s*[\]:]")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])")


def instead_of_character(sentence: str, place: int) -> str | None:
    """What to write instead of the character there, which begins nothing."""
    if sentence[place] != "[":
        return CHARACTERS.get(sentence[place])
    found = _RANGE.match(sentence, place)
    window = found[1] if found else "5m"
    return f"a window stands behind a comma: write `, {window}`, as in `avg(cpu_percent, {window})`"


def instead_of_function(name: str) -> str | None:
    """What to write instead of a function that is none here."""
    name = name.lower()
    if aggregates.known(name):
        return None
    if _PERCENTILE.fullmatch(name) is not None:
        return "a percentile lies between p0 and p100, as in p99 or p99.9"
    return _FUNCTIONS.get(name)


def instead_of_comparing(word: str) -> str | None:
    """What to write instead of this word behind a metric, where a comparison should stand."""
    return _COMPARING.get(word.lower())


def instead_of_opening(word: str) -> str | None:
    """What to do about this word in front of a metric."""
    return _OPENING.get(word.lower())


def instead_of_following(text: str, then: str) -> str | None:
    """What to write instead of this, and what follows it, behind a condition that is whole."""
    if text == "," and then.lower() in ("for", "recover", "on", "resolved"):
        return "leave the `,` out"
    return _FOLLOWING.get(text.lower())


def thousands(sentence: str, start: int) -> str | None:
    """`9,000` written with its comma, at the number that begins there."""
    found = _THOUSANDS.match(sentence, start)
    return found[0].replace(",", "") if found else None
