"""Judge what a configured server answered to a query; an answer that failed or is old says nothing, never good news."""

from datetime import datetime, timedelta

from policies.engine import durations, numerals, sentences
from policies.engine.conditions import PromQL
from policies.engine.tags import TagMatcher
from policies.engine.values import Answer, Answered, Outcome, TargetData, Verdict

_MOST_CHARACTERS = 200


def promql(condition: PromQL, data: TargetData, *, at: datetime, staleness: timedelta) -> Verdict:
    """Violated when the answer has anything about the target, as an alerting rule of Prometheus fires."""
    answer = data.answers.get(condition.question)
    problem = _problem(condition, answer, at, staleness)
    if answer is None or problem is not None:
        return Verdict(outcome=Outcome.UNKNOWN, reason=problem or "", newest_at=None if answer is None else answer.at)
    if not answer.results:
        reason = f"{condition.source} found nothing wrong with {data.target}"
        return Verdict(outcome=Outcome.HEALTHY, reason=reason, numbers={"results": 0.0}, newest_at=answer.at)
    worst = answer.results[0]
    return Verdict(
        outcome=Outcome.VIOLATED,
        reason=f"{condition.source} answered {_said(worst)}{_others(len(answer.results) - 1)}",
        numbers={"results": float(len(answer.results)), "value": worst.value},
        value=worst.value,
        newest_at=answer.at,
    )


def _problem(condition: PromQL, answer: Answer | None, at: datetime, staleness: timedelta) -> str | None:
    if answer is None or answer.at > at:
        return f"{condition.source} was not asked"
    if answer.failure is not None:
        return f"{condition.source} could not answer: {answer.failure[:_MOST_CHARACTERS]}"
    if at - answer.at > staleness:
        age, limit = durations.spell(at - answer.at), durations.spell(staleness)
        return f"{condition.source} last answered {age} ago, and that counts for {limit}"
    return None


def _said(result: Answered) -> str:
    labels = tuple(TagMatcher(name=name, pattern=value) for name, value in sorted(result.labels.items()))
    named = f" for {sentences.tags_text(labels)}" if labels else ""
    return f"{numerals.shown(result.value)}{named}"


def _others(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
