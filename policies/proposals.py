"""Whose word a policy's actions wait for, and what becomes of those that wait when that changes."""

from collections.abc import Mapping
from datetime import datetime

import structlog

from actions import steering
from actions.consent import Asks
from policies.engine import modes
from policies.models import Mode, Policy

log = structlog.get_logger(__name__)

_ASKS: Mapping[str, Asks] = {Mode.SUGGEST: Asks.OPERATOR, Mode.APPROVE: Asks.APPROVER}
_ASKED_BY: Mapping[str, str] = {
    Mode.SUGGEST: "policy {} only suggests",
    Mode.APPROVE: "policy {} asks for approval",
}
_BY_NOW: Mapping[str, str] = {
    Mode.OBSERVE: "only observes now, and proposes nothing",
    Mode.SUGGEST: "waits for somebody's click now; what is still needed is proposed anew",
    Mode.APPROVE: "waits for an approver now; what is still needed is proposed anew",
    Mode.AUTO: "acts by itself now; what is still needed is ordered anew",
}


def asks_of(mode: str) -> Asks:
    """Whose word a policy in this mode waits for."""
    return _ASKS.get(mode, Asks.NOBODY)


def asked_by(mode: str, *, policy_name: str) -> str:
    """Who asks for it, as a clause; "" in a mode that asks for nobody's."""
    return _ASKED_BY.get(mode, "").format(policy_name)


def still_in(mode: str, *, policy_id: int) -> bool:
    """Whether the policy is in that mode now.

    A process may go by an earlier one for a second after an edit; what it proposed then would wait with that meaning.
    """
    return Policy.objects.filter(pk=policy_id, mode=mode).exists()


def mode_changed(policy: Policy, *, at: datetime) -> int:
    """Withdraw what waits for another word than the policy asks for in its present mode; how much that was.

    In the transaction that changes the mode. Nothing starts by this: what waits is not let go but cancelled, and the
    next evaluation orders it anew if fresh data and every guard say so. What the mode has no part in goes on waiting:
    an action of risk high waits for its approver also when its policy acts by itself.
    """
    asks = asks_of(policy.mode) if modes.orders(policy.mode) else None
    reason = f"Policy {policy.name} {_BY_NOW[policy.mode]}."
    withdrawn = steering.withdraw_unless_asked(policy_name=policy.name, asks=asks, reason=reason, at=at)
    if withdrawn:
        log.info("policies.proposals.withdrawn", policy=policy.name, mode=policy.mode, actions=withdrawn)
    return withdrawn
