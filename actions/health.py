"""What `/ready` and `manage.py doctor` say about actions."""

from actions import brakes, control
from actions.models import Action, Remediator
from actions.states import State
from vigil.health.checks import Report


def switch() -> Report:
    """Whether Vigil may act."""
    now = control.state()
    if now.mode == "active":
        return Report(state="ok", detail="Vigil may act.")
    return Report(
        state="degraded",
        detail=f"Vigil is in mode {now.mode} (set by {now.by or 'nobody known'}: {now.reason or 'no reason given'}).",
        hint="Run manage.py resume, or PUT /api/v1/control with mode active, when it should act again.",
    )


def held() -> Report:
    """Whether guards hold something that a person should look at."""
    now = brakes.standing()
    if not now.any:
        return Report(state="ok", detail="No storm, no quarantine, every circuit is closed.")
    said = [f"{storm.scope} is held: {storm.reason}" for storm in now.storms]
    said += [f"{len(now.quarantined)} targets are in quarantine"] if now.quarantined else []
    said += [f"the circuit of remediator {name} is {one.position.value}" for name, one in now.circuits.items()]
    return Report(
        state="degraded",
        detail=f"{'; '.join(said)}.",
        hint="See manage.py guards; look for the cause, then --reset the scope or --lift the target.",
    )


def stuck() -> Report:
    """Whether actions wait for a person."""
    waiting = Action.objects.filter(state=State.NEEDS_HUMAN).count()
    if waiting == 0:
        return Report(state="ok", detail="No action waits for a person.")
    return Report(
        state="degraded",
        detail=f"{waiting} action{' holds its' if waiting == 1 else 's hold their'} target until a person has looked.",
        hint="Look at each in the console; then cancel it (nothing runs any more) or retry it.",
    )


def remediators() -> Report:
    """Whether there is anybody to carry actions out."""
    kinds = set(Remediator.objects.filter(enabled=True).values_list("kind", flat=True))
    if not kinds:
        return Report(state="degraded", detail="No remediator is enabled.", hint="Enable one in the console.")
    if kinds == {"log"}:
        return Report(
            state="degraded",
            detail="The only remediator writes to the log and changes nothing.",
            hint="Set REMEDIATOR_URL, or add a remediator in the console.",
        )
    return Report(state="ok", detail=f"Remediators of kind {', '.join(sorted(kinds))} are enabled.")
