"""Places where tests can make a process die, stop or fail on purpose. Without VIGIL_TESTING=1 they do nothing.

`VIGIL_FAILPOINT=NAME:ACTION:PROBABILITY:TIMES`, several with commas between them; the last two may be left out.
"""

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path


class FailPointReached(RuntimeError):
    """Raised by a fail point whose action is `raise`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    name: str
    action: str
    probability: float
    times: int
    """So often in all, whichever process passes; 0: every time."""


def _plans() -> tuple[_Plan, ...]:
    if os.environ.get("VIGIL_TESTING") != "1":
        return ()
    plans = []
    for text in filter(None, os.environ.get("VIGIL_FAILPOINT", "").split(",")):
        name, action, *rest = text.strip().split(":")
        probability, times = [*rest, *("1.0", "0")[len(rest) :]]
        plans.append(_Plan(name=name, action=action, probability=float(probability), times=int(times)))
    return tuple(plans)


_PLANS = _plans()


def hit(name: str) -> None:
    """Say "here is the point `name`"; the environment may have planned something for it."""
    for plan in _PLANS:
        if plan.name == name and _strikes(plan):
            _act(plan)


def loses(name: str) -> bool:
    """Whether `NAME:lose` strikes now: then whoever asks fails as its kind fails, such as a transaction as a loser."""
    for plan in _PLANS:
        if plan.name == name and plan.action == "lose" and _strikes(plan):
            _tell(plan)
            return True
    return False


def _strikes(plan: _Plan) -> bool:
    return random.random() < plan.probability and _is_left(plan)  # noqa: S311  chaos, not a secret


def _is_left(plan: _Plan) -> bool:
    """Take one of the strikes that all processes of a data folder share; False: there is none left."""
    if plan.times == 0:
        return True
    folder = Path(os.environ["VIGIL_DATA_DIR"]) / "strikes"
    folder.mkdir(exist_ok=True)
    for number in range(plan.times):
        try:
            (folder / f"{plan.name}-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _tell(plan: _Plan) -> None:
    os.write(2, f"fail point {plan.name}: {plan.action}\n".encode())  # unbuffered: after `kill` nobody flushes


def _act(plan: _Plan) -> None:
    _tell(plan)
    match plan.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(70)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise FailPointReached(plan.name)
        case "sleep":
            time.sleep(30)
        case _:
            raise ValueError(f"VIGIL_FAILPOINT: unknown action {plan.action!r}; use kill, exit, stop, raise or sleep.")
