"""What a test expected against what happened, difference by difference."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from policies.engine import durations
from policies.engine.rehearsal.script import (
    Expectation,
    ExpectedAction,
    ExpectedVerdict,
    Script,
)
from policies.engine.rehearsal.stage import Deed, Pair, Snapshot
from policies.engine.rehearsal.timeline import MIDNIGHT

_NEVER = "it was never judged on that target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the test says."""

    at: timedelta
    about: str
    """incidents, actions, held or verdicts."""
    expected: str
    got: str
    reason: str
    """What the engine said about it."""


def differences(script: Script, pictures: Mapping[timedelta, Snapshot]) -> list[Difference]:
    """Everything that is not as expected, in the order of the test."""
    return [found for one in script.expect for found in _at(one, pictures[one.at])]


def when(after: timedelta) -> str:
    """`0s`, `5m`, `1h30m`: a time since the beginning."""
    rest, parts = int(after.total_seconds()), []
    for unit, size in reversed(durations.UNITS.items()):
        amount, rest = divmod(rest, size)
        parts += [f"{amount}{unit}"] if amount else []
    return "".join(parts) or "0s"


def _at(expected: Expectation, picture: Snapshot) -> Iterator[Difference]:
    if expected.incidents is not None:
        wanted = {(one.policy, one.target): str(one.status) for one in expected.incidents}
        got = {pair: status for pair, status in picture.incidents.items() if status != "resolved" or pair in wanted}
        yield from _by_pair(expected.at, "incidents", wanted, got, picture.reasons)
    if expected.actions is not None:
        yield from _actions(expected.at, expected.actions, picture)
    if expected.held is not None:
        wanted = {(one.policy, one.target): one.guard for one in expected.held}
        reasons = {**picture.reasons, **{pair: stopped.reason for pair, stopped in picture.held.items()}}
        guards = {pair: stopped.guard for pair, stopped in picture.held.items()}
        yield from _by_pair(expected.at, "held", wanted, guards, reasons)
    for verdict in expected.verdicts or ():
        yield from _verdict(expected.at, verdict, picture)


def _by_pair(
    at: timedelta, about: str, wanted: Mapping[Pair, str], got: Mapping[Pair, str], reasons: Mapping[Pair, str]
) -> Iterator[Difference]:
    for pair in dict.fromkeys([*wanted, *sorted(got)]):
        if wanted.get(pair) != got.get(pair):
            yield Difference(
                at=at,
                about=about,
                expected=_on(pair, wanted.get(pair)),
                got=_on(pair, got.get(pair)),
                reason=reasons.get(pair, _NEVER),
            )


def _on(pair: Pair, what: str | None) -> str:
    return f"{pair[0]} on {pair[1]}: {what or 'nothing'}"


def _actions(at: timedelta, wanted: tuple[ExpectedAction, ...], picture: Snapshot) -> Iterator[Difference]:
    """In order: the first place where the two differ explains the rest."""
    for place in range(max(len(wanted), len(picture.deeds))):
        one = wanted[place] if place < len(wanted) else None
        deed = picture.deeds[place] if place < len(picture.deeds) else None
        if one is not None and deed is not None and _same(one, deed):
            continue
        yield Difference(
            at=at,
            about=f"action {place + 1}",
            expected="no more actions" if one is None else _wish(one),
            got="no more actions" if deed is None else _told(deed, one),
            reason=_why(one, deed, picture),
        )
        return


def _same(wanted: ExpectedAction, deed: Deed) -> bool:
    return (
        (wanted.action, wanted.target) == (deed.action, deed.target)
        and wanted.policy in (None, deed.policy)
        and wanted.at in (None, deed.ordered_at - MIDNIGHT)
        and wanted.params in (None, deed.params)
    )


def _wish(one: ExpectedAction) -> str:
    by = "" if one.policy is None else f" by {one.policy}"
    at = "" if one.at is None else f" at {when(one.at)}"
    return f"{one.action} on {one.target}{by}{at}{_with(one.params)}"


def _told(deed: Deed, wanted: ExpectedAction | None) -> str:
    by = "" if wanted is not None and wanted.policy is None else f" by {deed.policy}"
    at = "" if wanted is not None and wanted.at is None else f" at {when(deed.ordered_at - MIDNIGHT)}"
    params = None if wanted is None or wanted.params is None else deed.params
    return f"{deed.action} on {deed.target}{by}{at}{_with(params)}"


def _with(params: Mapping[str, object] | None) -> str:
    return "" if params is None else f" with {json.dumps(params, sort_keys=True)}"


def _why(wanted: ExpectedAction | None, deed: Deed | None, picture: Snapshot) -> str:
    """Why the action that came was ordered; of one that did not come, what was said last about its target."""
    if deed is not None:
        return f"{deed.policy}: {deed.reason}"
    said = [
        f"{pair[0]}: {stopped.reason if (stopped := picture.held.get(pair)) else reason}"
        for pair, reason in sorted(picture.reasons.items())
        if wanted is not None and pair[1] == wanted.target and wanted.policy in (None, pair[0])
    ]
    return "; ".join(said) or "no policy was ever judged on that target"


def _verdict(at: timedelta, wanted: ExpectedVerdict, picture: Snapshot) -> Iterator[Difference]:
    pair = (wanted.policy, wanted.target)
    found = picture.verdicts.get(pair)
    outcome, reason = (None, _NEVER) if found is None else (str(found.outcome), found.reason)
    if outcome != wanted.outcome:
        yield Difference(
            at=at, about="verdicts", expected=_on(pair, wanted.outcome), got=_on(pair, outcome), reason=reason
        )
    elif wanted.reason is not None and wanted.reason not in reason:
        expected = _on(pair, f"a reason with {wanted.reason!r}")
        yield Difference(at=at, about="verdicts", expected=expected, got=_on(pair, outcome), reason=reason)
