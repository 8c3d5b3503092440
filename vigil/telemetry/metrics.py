"""Every Prometheus instrument, named once. No target, tag or user is ever a label."""

import threading

from prometheus_client import Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_SECONDS = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)

ingest_total = Counter("vigil_ingest", "Readings that arrived.", ["kind", "outcome"])
policy_evaluations_total = Counter("vigil_policy_evaluations", "Conditions judged.", ["source", "verdict"])
policy_violations_total = Counter(
    "vigil_policy_violations", "Violated verdicts at ingest, and changes to violated in sweeps.", ["policy_name"]
)
policy_errors_total = Counter("vigil_policy_errors", "Evaluations that failed.", ["policy_name"])
incidents_total = Counter("vigil_incidents", "Incidents by what became of them.", ["transition"])
flaps_total = Counter("vigil_flaps", "Policies on targets that began or ceased to flap.", ["change"])
policy_demotions_total = Counter("vigil_policy_demotions", "Policies demoted and promoted again.", ["change"])
freezes_total = Counter("vigil_freezes", "Targets on which policies that fought were frozen.")
time_to_heal_seconds = Histogram(
    "vigil_time_to_heal_seconds", "From an incident's opening to its healing.", buckets=_LONG_SECONDS
)
sweep_duration_seconds = Histogram("vigil_sweep_duration_seconds", "How long a sweep took.", buckets=_SECONDS)
actions_total = Counter("vigil_actions", "Actions by public status, counted when they reach it.", ["action", "status"])
action_duration_seconds = Histogram(
    "vigil_action_duration_seconds", "From an action's start to its end.", ["action"], buckets=(*_SECONDS, 60, 300)
)
verifications_total = Counter("vigil_verifications", "What fresh data said of finished actions.", ["verification"])
remediator_calls_total = Counter("vigil_remediator_calls", "Calls to remediators.", ["kind", "outcome"])
guard_decisions_total = Counter("vigil_guard_decisions", "What guards answered.", ["guard", "answer"])
hints_total = Counter("vigil_hints", "Hints given to workers through Redis.", ["outcome"])
messages_refused_total = Counter("vigil_messages_refused", "Messages in Redis that were none of ours.")
dispatcher_reaped_total = Counter("vigil_dispatcher_reaped", "What the dispatcher put right.", ["what"])
tasks_total = Counter("vigil_tasks", "Celery tasks run.", ["task", "outcome"])

POLICIES_MOST = 2_000
"""Names of policies that a process tells apart; those made and removed for ever must not fill memory and Prometheus."""
OTHER_POLICIES = "(others)"
"""No policy is called so."""

_told_apart: set[str] = set()
_lock = threading.Lock()


def of_policy(counter: Counter, name: str) -> Counter:
    """The policy's own count, or the common one of those that came too late to have their own."""
    with _lock:
        if name not in _told_apart and len(_told_apart) < POLICIES_MOST:
            _told_apart.add(name)
        return counter.labels(policy_name=name if name in _told_apart else OTHER_POLICIES)
