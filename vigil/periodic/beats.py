"""Signs of life of long-running processes."""

from datetime import datetime, timedelta

from vigil.periodic.models import WorkerBeat


def beat(*, name: str, role: str, at: datetime, hostname: str, pid: int) -> None:
    """Say that the process `name` is alive."""
    values: dict[str, object] = {"role": role, "hostname": hostname, "pid": pid, "beat_at": at}
    WorkerBeat.objects.update_or_create(name=name, defaults=values)


def took_up(*, name: str, at: datetime) -> None:
    """Say that the worker `name` takes up work: what it sent itself has come round."""
    WorkerBeat.objects.filter(name=name).update(claimed_at=at)


def alive(role: str, *, at: datetime, within: timedelta) -> list[WorkerBeat]:
    """The processes of a role that beat lately."""
    return list(WorkerBeat.objects.filter(role=role, beat_at__gt=at - within).order_by("name"))


def consuming(role: str, *, at: datetime, within: timedelta) -> list[WorkerBeat]:
    """The workers of a role that took up work lately; one whose slots are all busy is late with it."""
    return list(WorkerBeat.objects.filter(role=role, claimed_at__gt=at - within).order_by("name"))


def other_hosts(*, hostname: str, at: datetime, within: timedelta) -> list[str]:
    """Other machines that beat lately: on SQLite there may be none."""
    rows = WorkerBeat.objects.filter(beat_at__gt=at - within).exclude(hostname=hostname)
    return sorted(set(rows.values_list("hostname", flat=True)))


def prune(*, before: datetime) -> int:
    """Forget processes long gone."""
    return WorkerBeat.objects.filter(beat_at__lt=before).delete()[0]
