"""A measure as JSON: metric, tags, aggregate, window, across and by, side by side in one object."""

from policies.engine import aggregates, durations, suggestions, tagforms
from policies.engine.conditions import Across, Measure
from policies.engine.fields import Fields, clipped

FIELDS = ("metric", "tags", "aggregate", "window", "across", "by")


def read(fields: Fields) -> Measure:
    """The measure in these fields; every problem is left with them."""
    aggregate = _aggregate(fields) if fields.has("aggregate") else None
    window = fields.duration("window") if fields.has("window") else None
    if fields.has("aggregate") and not fields.has("window"):
        fields.complain("window", "an aggregate needs a window, such as 5m")
    if fields.has("window") and not fields.has("aggregate"):
        fields.complain("aggregate", f"a window needs an aggregate: {', '.join(aggregates.names())}")
    return Measure(
        metric=fields.name("metric"),
        tags=tagforms.read(fields),
        aggregate=aggregate,
        window=window,
        across=across(fields, tuple(Across)),
        by=fields.names("by") if fields.has("by") else (),
    )


def across(fields: Fields, known: tuple[Across, ...]) -> Across:
    """The field `across`, by default any."""
    return Across((fields.choice("across", known) if fields.has("across") else None) or Across.ANY)


def write(measure: Measure) -> dict[str, object]:
    """The fields of this measure, without those that are the default."""
    document: dict[str, object] = {"metric": measure.metric, **tagforms.write(measure.tags)}
    if measure.aggregate is not None and measure.window is not None:
        document |= {"aggregate": measure.aggregate, "window": durations.text(measure.window)}
    if measure.across is not Across.ANY:
        document["across"] = str(measure.across)
    return {**document, "by": list(measure.by)} if measure.by else document


def _aggregate(fields: Fields) -> str:
    name = fields.text("aggregate")
    if isinstance(fields.raw("aggregate"), str) and not aggregates.known(name):
        known = aggregates.names()
        near = suggestions.meant(name, known) or f"; known: {', '.join(known)}"
        fields.complain("aggregate", f"unknown aggregate `{clipped(name)}`{near}")
    return name
