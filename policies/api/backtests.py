"""A policy replayed over stored history."""

from datetime import timedelta
from typing import Annotated

import msgspec
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from policies import backtest
from policies.api import shapes
from policies.api.answers import backtests as answers
from policies.backtest import Replayed, Report
from policies.engine import sentences
from policies.engine import targets as patterns
from policies.engine.rehearsal.stage import Deed, Stop
from vigil.access import scopes
from vigil.http import schema
from vigil.http.views import ApiView

PATIENCE = timedelta(seconds=4)
"""A request may not hold a web worker for longer."""
MOST_SAMPLES = 200_000
SHOWN_MAX = 500
"""Of each list; the totals count all."""

type Json = dict[str, object]


class BacktestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST /policies/{name}/backtest takes."""

    since: Annotated[str, msgspec.Meta(max_length=40)] = "24h"
    """A time with a zone, or how long before `until`."""
    until: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """Blank is now."""
    change: dict[str, object] = {}
    takes: Annotated[str, msgspec.Meta(max_length=20)] = ""


class BacktestView(ApiView):
    """What a policy would have done."""

    required_scopes = {"POST": scopes.READ}

    @extend_schema(
        summary="Replay a policy over stored history, or an edit of it that is not saved: incidents, actions,"
        " and what each guard would have stopped; nothing is stored or ordered",
        request=schema.body(BacktestBody),
        responses=schema.answers({200: answers.Backtest}),
        examples=[
            OpenApiExample(
                "a lower threshold over the last day",
                value={"since": "24h", "change": {"condition": "avg(cpu_percent, 5m) > 80 for 2m"}},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        wanted, now, allowed = self.body(request, BacktestBody), self.at(request), self.caller(request).targets
        since, until = backtest.stretch(since=wanted.since, until=wanted.until, now=now)
        found = backtest.run(
            name=name,
            since=since,
            until=until,
            now=now,
            change=wanted.change,
            takes=backtest.length("takes", wanted.takes),
            within=lambda target: not allowed or any(patterns.matches(pattern, target) for pattern in allowed),
            most_samples=MOST_SAMPLES,
            patience=PATIENCE,
        )
        return Response(report(found))


def report(found: Report) -> Json:
    """A replay as the API shows it."""
    journal = found.journal
    return {
        "ok": True,
        "policy_name": found.rule.name,
        "policy_version": found.rule.number or None,
        "condition": sentences.to_sentence(found.rule.condition),
        "since": shapes.moment(found.since),
        "until": shapes.moment(found.until),
        "sentence": found.sentence,
        "samples": found.samples,
        "incidents_total": sum(one.opened_at is not None for one in found.episodes),
        "brief_total": sum(one.opened_at is None for one in found.episodes),
        "actions_total": len(journal.deeds),
        "stopped_total": len(journal.stops),
        "stopped_by_guard": found.stopped_by,
        "most_targets_at_once": found.most_open,
        "most_targets_at": shapes.moment(found.most_open_at),
        "incidents": [_incident(one) for one in found.episodes if one.opened_at is not None][:SHOWN_MAX],
        "actions": [_action(deed) for deed in journal.deeds[:SHOWN_MAX]],
        "stopped": [_stop(stop) for stop in journal.stops[:SHOWN_MAX]],
    }


def _incident(one: Replayed) -> Json:
    return {
        "target": one.target,
        "since": shapes.moment(one.since),
        "opened_at": shapes.moment(one.opened_at),
        "resolved_at": shapes.moment(one.ended_at),
        "resolution": one.resolution or None,
        "value": one.value,
        "reason": one.reason,
        "actions": len(one.actions),
    }


def _action(deed: Deed) -> Json:
    return {
        "at": shapes.moment(deed.ordered_at),
        "action": deed.action,
        "target": deed.target,
        "params": dict(deed.params),
        "step": deed.step,
        "reason": deed.reason,
        "verification": str(deed.effect),
        "action_id": deed.action_id,
    }


def _stop(stop: Stop) -> Json:
    return {
        "at": shapes.moment(stop.at),
        "target": stop.target,
        "guard": stop.stopped.guard,
        "reason": stop.stopped.reason,
    }
