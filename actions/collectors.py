"""State gauges, read from the database when Prometheus asks."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from actions import brakes, control, queries
from actions.states import State, Status, states_of


def read() -> Iterable[Metric]:
    """Queue length, actions by state, and the control switch."""
    counts = queries.counts_by_state()
    by_state = GaugeMetricFamily("vigil_actions_in_state", "Actions by state, now.", labels=["state"])
    for state, total in sorted(counts.items()):
        by_state.add_metric([state], total)
    waiting = sum(counts[state] for state in states_of(Status.PENDING))
    mode = control.state().mode
    switch = GaugeMetricFamily("vigil_control_mode", "1 for the mode in force.", labels=["mode"])
    for known in control.MODES:
        switch.add_metric([known], float(known == mode))
    held = brakes.standing()
    counts_held = GaugeMetricFamily(
        "vigil_guards_holding", "What guards hold until somebody lets go.", labels=["guard"]
    )
    for guard, many in (("storm", held.storms), ("quarantine", held.quarantined), ("circuit", held.circuits)):
        counts_held.add_metric([guard], len(many))
    return [
        GaugeMetricFamily("vigil_queue_length", "Actions that wait.", value=waiting),
        GaugeMetricFamily(
            "vigil_approvals_waiting",
            "Actions that wait for somebody's word.",
            value=counts[State.AWAITING_APPROVAL.value],
        ),
        by_state,
        switch,
        counts_held,
    ]
