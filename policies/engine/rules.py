"""What holds for every condition, however it was written: sizes, and numbers that make sense together."""

from collections.abc import Iterator

from policies.engine import conditions, globs, suggestions
from policies.engine.bounds import DOWNWARD, UPWARD
from policies.engine.conditions import (
    SEVERITIES,
    ZERO,
    Across,
    AllOf,
    Anomaly,
    AnyOf,
    Compare,
    Condition,
    EventMatches,
    Measure,
    Method,
    Not,
    Outside,
    PromQL,
    Ratio,
    ResolvedBy,
)

DEEPEST = 8
MOST_NODES = 50
MOST_NAME_CHARACTERS = 200
MOST_TAGS = 8
MOST_EVENTS = 10_000
MOST_SIGMA = 1_000
MOST_QUERY_CHARACTERS = 4_000

type Problem = tuple[str, str]


def problems(condition: Condition, path: str = "") -> Iterator[Problem]:
    """Everything wrong with the tree as a whole, each with the path of the place."""
    yield from _sizes(condition, path)
    yield from _nested_holds(condition, path, inside_hold=False, is_root=True)
    yield from _groupings(condition, path)
    for where, node in _places(condition, path):
        yield from own_problems(node, where)


def at(path: str, step: str) -> str:
    """The path one step further in."""
    return f"{path}.{step}" if path else step


def name_problem(name: str) -> str | None:
    """What makes this no name of a metric, an event, a severity or a tag; None when it is fine."""
    if not name.strip():
        return "must not be blank"
    if len(name) > MOST_NAME_CHARACTERS:
        return f"has at most {MOST_NAME_CHARACTERS} characters"
    if name != name.strip() or not name.isprintable():
        return "has printable characters only, and no space at either end"
    return None


def query_problem(query: str) -> str | None:
    """What makes this no text of a query; whether the server understands it, only the server knows."""
    if not query.strip():
        return "must not be blank"
    if len(query) > MOST_QUERY_CHARACTERS:
        return f"has at most {MOST_QUERY_CHARACTERS} characters"
    if not all(character.isprintable() or character in "\n\t" for character in query):
        return "has printable characters only"
    return None


def _places(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    yield path, condition
    for step, child in steps(condition):
        yield from _places(child, at(path, step))


def steps(condition: Condition) -> Iterator[tuple[str, Condition]]:
    """The children with the step that leads to each in JSON."""
    if isinstance(condition, Not):
        yield "condition", condition.condition
    if isinstance(condition, AllOf | AnyOf):
        for place, child in enumerate(condition.conditions):
            yield f"conditions[{place}]", child


def _sizes(condition: Condition, path: str) -> Iterator[Problem]:
    if _depth(condition) > DEEPEST:
        yield path, f"a condition is at most {DEEPEST} levels deep"
    if sum(1 for _ in conditions.walk(condition)) > MOST_NODES:
        yield path, f"a condition has at most {MOST_NODES} parts"


def _depth(condition: Condition) -> int:
    return 1 + max((_depth(child) for child in conditions.children(condition)), default=0)


def _nested_holds(condition: Condition, path: str, *, inside_hold: bool, is_root: bool) -> Iterator[Problem]:
    """Each moment of a nested `for` is judged anew, so one inside another would take the square of the time."""
    holds = bool(conditions.hold_of(condition)) and not is_root
    if holds and inside_hold:
        yield at(path, "for"), "this `for` is inside another one; keep one of the two"
    if (holds or inside_hold) and isinstance(condition, PromQL):
        yield at(path, "for"), "an answer of a server has no past to look back on: put this `for` around the whole"
    for step, child in steps(condition):
        yield from _nested_holds(child, at(path, step), inside_hold=inside_hold or holds, is_root=False)


def _groupings(condition: Condition, path: str) -> Iterator[Problem]:
    """A group is judged as one target, so a condition has one way to group."""
    by = conditions.grouping(condition)
    if not by:
        return
    for where, node in _places(condition, path):
        for step, measure in _measures(node):
            place = at(at(where, step) if step else where, "by")
            if measure.by and measure.by != by:
                yield place, f"every `by` of a condition names the same tags, here {', '.join(by)}"
            elif measure.across.is_number and not measure.by:
                yield place, f"say `by {', '.join(by)}` here too: all of this condition looks at one group"


def own_problems(node: Condition, path: str = "") -> Iterator[Problem]:
    """What is wrong with this condition itself, whatever is around or inside it."""
    match node:
        case Compare():
            problem = _recover_problem(node)
            if problem is not None:
                yield at(path, "recover"), problem
        case Outside():
            yield from _band_problems(node, path)
        case Ratio():
            yield from _ratio_problems(node, path)
        case Anomaly():
            yield from _anomaly_problems(node, path)
        case EventMatches():
            yield from _event_problems(node, path)
        case _:
            pass
    for step, measure in _measures(node):
        yield from _by_problems(measure, at(path, step) if step else path)


def _measures(node: Condition) -> Iterator[tuple[str, Measure]]:
    """The measures of a node with the step that leads to each in JSON."""
    if isinstance(node, Ratio):
        yield "over", node.over
        yield "under", node.under
    else:
        yield from (("", measure) for measure in conditions.measures_of(node))


def _by_problems(measure: Measure, path: str) -> Iterator[Problem]:
    if measure.by and not measure.across.is_number:
        yield at(path, "by"), "goes with one of avg, sum, min, max, count, as in `sum(errors by zone)`"
    if len(set(measure.by)) < len(measure.by):
        yield at(path, "by"), "names a tag twice"
    if len(measure.by) > MOST_TAGS:
        yield at(path, "by"), f"names at most {MOST_TAGS} tags"


def _ratio_problems(node: Ratio, path: str) -> Iterator[Problem]:
    problem = _recover_problem(node)
    if problem is not None:
        yield at(path, "recover"), problem
    sides = (node.over.across, node.under.across)
    for step, across in zip(("over", "under"), sides, strict=True):
        if across is Across.ALL:
            yield at(path, f"{step}.across"), "`all` belongs to the whole ratio, not to one side of it"
    if node.across is Across.ALL and all(across.is_number for across in sides):
        yield at(path, "across"), "both sides are one number already, so there are no series for `all`"


def _anomaly_problems(node: Anomaly, path: str) -> Iterator[Problem]:
    if not 0 < node.sigma <= MOST_SIGMA:
        yield at(path, "sigma"), f"must be above 0 and at most {MOST_SIGMA}"
    if node.method is Method.SEASONAL and ZERO < node.window < 2 * node.period:
        yield at(path, "window"), "must hold at least two periods of the season"
    if node.method is not Method.SEASONAL and node.period != conditions.DEFAULT_PERIOD:
        yield at(path, "period"), "has a meaning only with the method seasonal"


def _event_problems(node: EventMatches, path: str) -> Iterator[Problem]:
    if node.severity is not None and node.severity not in SEVERITIES:
        near = suggestions.meant(node.severity, SEVERITIES)
        yield at(path, "severity"), f"must be one of {', '.join(SEVERITIES)}{near}"
    if not 1 <= node.count <= MOST_EVENTS:
        yield at(path, "count"), f"must be a whole number from 1 to {MOST_EVENTS}"
    if "*" in node.event or "?" in node.event:
        problem = globs.problem(node.event)
        if problem is not None:
            yield at(path, "event"), problem
    if node.resolved_by is not None:
        yield from _resolving_problems(node.resolved_by, at(path, "resolved_by"))


def _resolving_problems(resolved: ResolvedBy, path: str) -> Iterator[Problem]:
    if resolved.event is None and not resolved.tags:
        yield path, "needs an event or tags, or every event would resolve itself"
    if resolved.event is not None and ("*" in resolved.event or "?" in resolved.event):
        problem = globs.problem(resolved.event)
        if problem is not None:
            yield at(path, "event"), problem
    if len(set(resolved.same)) < len(resolved.same):
        yield at(path, "same"), "names a tag twice"


def _recover_problem(node: Compare | Ratio) -> str | None:
    if node.recover is None:
        return None
    if node.comparison in UPWARD:
        return None if node.recover <= node.threshold else "must not be above the threshold"
    if node.comparison in DOWNWARD:
        return None if node.recover >= node.threshold else "must not be below the threshold"
    return "has a meaning only with metric_exceeds, metric_at_least, metric_below, metric_at_most and metric_outside"


def _band_problems(node: Outside, path: str) -> Iterator[Problem]:
    if node.band.low >= node.band.high:
        yield at(path, "high"), "must be above low"
        return
    back = node.recover
    if back is None:
        return
    if back.low >= back.high:
        yield at(path, "recover.high"), "must be above recover.low"
    elif back.low < node.band.low or back.high > node.band.high:
        yield at(path, "recover"), "must lie between low and high"
