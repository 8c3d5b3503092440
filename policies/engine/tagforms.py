"""Tag matchers as JSON: a glob as text, or an object with `not`, `regex` or `not_regex`, or a list of those."""

from collections.abc import Iterable, Mapping

from policies.engine import rules, suggestions, tags
from policies.engine.fields import Fields, clipped, kind
from policies.engine.tags import TagMatcher, TagOperator

_WORDS = {"not": TagOperator.IS_NOT, "regex": TagOperator.FITS, "not_regex": TagOperator.FITS_NOT}
_BY_OPERATOR = {operator: word for word, operator in _WORDS.items()}


def read(fields: Fields) -> tuple[TagMatcher, ...]:
    """The matchers in the field `tags`; every problem is left with the fields."""
    if not fields.has("tags"):
        return ()
    demands = fields.raw("tags")
    if not isinstance(demands, Mapping):
        fields.complain("tags", f"must be an object of tag names, not {kind(demands)}")
        return ()
    if not demands or len(demands) > rules.MOST_TAGS:
        fields.complain("tags", f"names from one to {rules.MOST_TAGS} tags; without any, leave it out")
        return ()
    matchers = [matcher for name, demand in demands.items() for matcher in _of_tag(fields, name, demand)]
    if len(matchers) > rules.MOST_TAGS:
        fields.complain("tags", f"has at most {rules.MOST_TAGS} demands")
    return tuple(matchers)


def write(matchers: Iterable[TagMatcher]) -> dict[str, object]:
    """The field `tags` for these matchers, or nothing when there are none."""
    demands: dict[str, list[object]] = {}
    for matcher in matchers:
        demands.setdefault(matcher.name, []).append(_demand(matcher))
    if not demands:
        return {}
    return {"tags": {name: several[0] if len(several) == 1 else several for name, several in demands.items()}}


def grouped(matchers: Iterable[TagMatcher]) -> tuple[TagMatcher, ...]:
    """The same demands with those on one tag side by side, as JSON keeps them."""
    by_name: dict[str, list[TagMatcher]] = {}
    for matcher in matchers:
        by_name.setdefault(matcher.name, []).append(matcher)
    return tuple(matcher for several in by_name.values() for matcher in several)


def _demand(matcher: TagMatcher) -> object:
    word = _BY_OPERATOR.get(matcher.operator)
    return matcher.pattern if word is None else {word: matcher.pattern}


def _of_tag(fields: Fields, name: object, demand: object) -> list[TagMatcher]:
    path = f"tags.{clipped(name)}"
    problem = rules.name_problem(name) if isinstance(name, str) else "must be a text"
    if problem is not None:
        fields.complain(path, f"the tag name {problem}")
        return []
    several = demand if isinstance(demand, list | tuple) else [demand]
    if not several:
        fields.complain(path, "must not be an empty list")
    read_ones = [_one(fields, path, str(name), one) for one in several[: rules.MOST_TAGS + 1]]
    return [matcher for matcher in read_ones if matcher is not None]


def _one(fields: Fields, path: str, name: str, demand: object) -> TagMatcher | None:
    operator, pattern = _parts(fields, path, demand)
    if not isinstance(pattern, str):
        if operator is not None:
            fields.complain(path, f"must be a pattern in a text, not {kind(pattern)}")
        return None
    if operator is None:
        return None
    matcher = TagMatcher(name=name, operator=operator, pattern=pattern)
    problem = tags.problem(matcher)
    if problem is not None:
        fields.complain(path, problem)
    return matcher


def _parts(fields: Fields, path: str, demand: object) -> tuple[TagOperator | None, object]:
    """The operator and the pattern; no operator after a complaint."""
    if not isinstance(demand, Mapping):
        return TagOperator.IS, demand
    words = [str(word) for word in demand]
    if len(words) == 1 and words[0] in _WORDS:
        return _WORDS[words[0]], demand[words[0]]
    near = suggestions.meant(words[0], _WORDS) if len(words) == 1 else ""
    fields.complain(path, f"must be a pattern, or an object with one of {', '.join(_WORDS)}{near}")
    return None, None
