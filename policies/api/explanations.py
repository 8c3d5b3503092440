"""Explanations as the API and `manage.py explain --json` show them."""

from policies.api import shapes
from policies.api.shapes import Json
from policies.engine import language
from policies.engine.tracing import Looked, Trace
from policies.engine.values import Event
from policies.explaining import ActionExplanation, Explanation
from policies.gates import Gate

SHOWN_SAMPLES = 50
"""Of one series, the newest; `samples_total` says how many had a say."""


def explanation(found: Explanation) -> Json:
    """One policy on one target at one time."""
    return {
        "policy_name": found.policy,
        "policy_version": found.version,
        "target": found.target,
        "at": shapes.moment(found.at),
        "verdict": found.trace.verdict.outcome.value,
        "reason": found.trace.verdict.reason,
        "condition": _trace(found.trace),
        "incident_id": None if found.incident is None else found.incident.pk,
        "gates": None if found.of_the_past else [_gate(gate) for gate in found.gates],
        "decision": None if found.decision is None else shapes.decision(found.decision),
        "actions": [action.id for action in found.actions],
        "text": found.text,
    }


def action(found: ActionExplanation) -> Json:
    """Why an action was ordered, and what became of it."""
    return {
        "action_id": found.action.id,
        "ordered_by": found.action.ordered_by,
        "reason": found.action.reason,
        "status": found.action.status,
        "verification": found.action.verification,
        "ordered_on": None if found.ordered is None else explanation(found.ordered),
        "attempts": [
            {
                "number": attempt.number,
                "intent_at": shapes.moment(attempt.intent_at),
                "worker": attempt.worker,
                "outcome": attempt.outcome,
                "message": attempt.message,
            }
            for attempt in found.attempts
        ],
        "timeline": [shapes.timeline(one) for one in found.moments],
        "text": found.text,
    }


def _trace(traced: Trace) -> Json:
    verdict = traced.verdict
    return {
        "sentence": traced.sentence,
        "condition": language.to_json(traced.condition),
        "verdict": verdict.outcome.value,
        "reason": verdict.reason,
        "numbers": dict(verdict.numbers),
        "series": [_looked(one) for one in traced.looked],
        "events": [_event(event) for event in traced.events],
        "answers": [
            {
                "source": question.source,
                "query": question.query,
                "failure": answer.failure,
                "results": [{"labels": dict(one.labels), "value": one.value} for one in answer.results],
            }
            for question, answer in traced.answers.items()
        ],
        "parts": [_trace(part) for part in traced.parts],
    }


def _looked(one: Looked) -> Json:
    return {
        "metric": one.series.name,
        "tags": dict(one.series.tags),
        "samples_total": len(one.samples),
        "samples": [
            {"id": sample.id, "at": shapes.moment(sample.at), "value": sample.value}
            for sample in one.samples[-SHOWN_SAMPLES:]
        ],
    }


def _event(event: Event) -> Json:
    return {
        "id": event.id,
        "name": event.name,
        "severity": event.severity,
        "tags": dict(event.tags),
        "at": shapes.moment(event.at),
    }


def _gate(gate: Gate) -> Json:
    return {"gate": gate.name, "passed": gate.passed, "reason": gate.reason, "numbers": dict(gate.numbers)}
