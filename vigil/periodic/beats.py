"""Signs of life of long-running processes."""

from datetime import datetime, timedelta

from vigil.periodic.models import WorkerBeat


def beat(*, name: str, role: str, at: datetime, hostname: str, pid: int, claimed: bool = False) -> None:
    """Say that the process `name` is alive (and took up work, when `claimed`)."""
    values: dict[str, object] = {"role": role, "hostname": hostname, "pid": pid, "beat_at": at}
    if claimed:
        values["claimed_at"] = at
    WorkerBeat.objects.update_or_create(name=name, defaults=values)


def alive(role: str, *, at: datetime, within: timedelta) -> list[WorkerBeat]:
    """The processes of a role that beat lately."""
    return list(WorkerBeat.objects.filter(role=role, beat_at__gt=at - within).order_by("name"))


def other_hosts(*, hostname: str, at: datetime, within: timedelta) -> list[str]:
    """Other machines that beat lately: on SQLite there may be none."""
    rows = WorkerBeat.objects.filter(beat_at__gt=at - within).exclude(hostname=hostname)
    return sorted(set(rows.values_list("hostname", flat=True)))


def prune(*, before: datetime) -> int:
    """Forget processes long gone."""
    return WorkerBeat.objects.filter(beat_at__lt=before).delete()[0]
