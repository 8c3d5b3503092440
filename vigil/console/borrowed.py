"""Pages that came with libraries, in the console's look and behind its doors."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from vigil.access import people, scopes
from vigil.access.scoped import ADMINISTRATORS, ScopedAdmin, caller
from vigil.audit import entries
from vigil.kernel import clock


class OwnersAdmin[M: Model](ScopedAdmin[M]):
    """For superusers alone."""

    to_view = ADMINISTRATORS

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and super().has_delete_permission(request)


class PeopleAdmin(UserAdmin, ScopedAdmin[User]):  # type: ignore[type-arg, misc]  # the stubs know no optional request
    """Accounts. Administrators manage them; superusers and their powers are a superuser's business."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    to_view = to_add = to_change = to_delete = ADMINISTRATORS
    list_display = ("username", "roles", "is_staff", "is_superuser", "is_active", "last_login")
    list_filter = ("groups", "is_staff", "is_superuser", "is_active")
    filter_horizontal = ()
    radio_fields = {}
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email")}),
        (
            "What this person may do",
            {
                "fields": ("is_active", "is_staff", "groups", "is_superuser"),
                "description": "Staff may enter the console; groups say what they may do there: "
                + "; ".join(
                    f"{name}: {', '.join(sorted(of))}" for name, of in scopes.OF_GROUP.items() if name != "admin"
                )
                + "; admin: everything.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    @admin.display(description="groups")
    def roles(self, obj: User) -> str:
        return ", ".join(group.name for group in obj.groups.all()) or "none"

    def get_queryset(self, request: HttpRequest) -> Any:
        people = super().get_queryset(request).prefetch_related("groups")
        return people if request.user.is_superuser else people.filter(is_superuser=False)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        own = super().get_readonly_fields(request, obj)
        return own if request.user.is_superuser else (*own, "is_superuser")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request) and (obj is None or obj.pk != request.user.pk)

    def save_model(self, request: HttpRequest, obj: User, form: "ModelForm[User]", change: bool) -> None:
        super().save_model(request, obj, form, change)
        changed = [name for name in form.changed_data if not name.startswith("password")]
        _tell(request, "user.updated" if change else "user.created", obj, ", ".join(changed))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002  Django's name
        person = self.get_object(request, id) if request.method == "POST" else None
        if person is None:
            return super().user_change_password(request, id, form_url)
        with people.password_watched(person, actor=caller(request).actor):
            return super().user_change_password(request, id, form_url)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "groups" in form.changed_data:
            _tell(request, "user.roles", form.instance, self.roles(form.instance))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        _tell(request, "user.deleted", obj, "")
        super().delete_model(request, obj)


class GroupsAdmin(OwnersAdmin[Group]):
    """The five roles; their names mean something to Vigil, so they are only looked at."""

    list_display = ("name", "may", "members")
    fields = ("name", "may", "members")

    @admin.display(description="may")
    def may(self, obj: Group) -> str:
        return ", ".join(sorted(scopes.OF_GROUP.get(obj.name, frozenset()))) or "nothing in Vigil"

    @admin.display(description="members")
    def members(self, obj: Group) -> str:
        return ", ".join(obj.user_set.order_by("username").values_list("username", flat=True)) or "nobody"


class ScheduleForm(ModelForm[PeriodicTask]):
    """The library's words, for people who did not choose the library."""

    class Meta:
        model = PeriodicTask
        fields = ("enabled",)
        labels = {
            "task": "Task",
            "interval": "Runs",
            "queue": "Queue",
            "last_run_at": "Last run",
            "total_run_count": "Runs so far",
            "date_changed": "Last changed",
        }
        help_texts = {
            **dict.fromkeys(
                ["name", "task", "interval", "queue", "last_run_at", "total_run_count", "date_changed"], ""
            ),
            "enabled": "Off: neither beat nor the dispatcher runs it. Without policies.sweep silence goes unnoticed.",
        }


class ScheduleAdmin(OwnersAdmin[PeriodicTask]):
    """celery-beat's jobs. The code owns them and sets their intervals; here one may be switched off and on."""

    to_change = ADMINISTRATORS
    form = ScheduleForm
    list_display = ("name", "enabled", "runs", "last_run", "runs_so_far")
    list_select_related = ("interval",)
    fields = ("name", "task", "interval", "queue", "enabled", "last_run_at", "total_run_count", "date_changed")
    readonly_fields = ("name", "task", "interval", "queue", "last_run_at", "total_run_count", "date_changed")

    @admin.display(description="runs")
    def runs(self, obj: PeriodicTask) -> str:
        return str(obj.interval)

    @admin.display(description="last run", ordering="last_run_at")
    def last_run(self, obj: PeriodicTask) -> Any:
        return obj.last_run_at

    @admin.display(description="runs so far", ordering="total_run_count")
    def runs_so_far(self, obj: PeriodicTask) -> int:
        return int(obj.total_run_count)

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Only the switch is written: a whole row would undo what beat counted meanwhile."""
        PeriodicTask.objects.filter(pk=obj.pk).update(enabled=obj.enabled)
        PeriodicTasks.update_changed()
        entries.write(
            kind="schedule.enabled" if obj.enabled else "schedule.disabled",
            subject=f"schedule:{obj.name}",
            actor=caller(request).actor,
            reason=f"{obj.name} was switched {'on' if obj.enabled else 'off'}.",
            at=clock.now(),
        )


class AttemptsAdmin(OwnersAdmin[AccessAttempt]):
    """Wrong logins. Removing a row lets that person try again."""

    to_delete = ADMINISTRATORS
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "path_info")
    search_fields = ("username", "ip_address")
    fields = ("attempt_time", "username", "ip_address", "user_agent", "path_info", "failures_since_start")

    def delete_model(self, request: HttpRequest, obj: AccessAttempt) -> None:
        entries.write(
            kind="lockout.lifted",
            subject=f"lockout:{obj.pk}",
            actor=caller(request).actor,
            reason=f"{obj.username} may try again from {obj.ip_address}.",
            numbers={"failures": obj.failures_since_start},
            at=clock.now(),
        )
        super().delete_model(request, obj)


def adopt() -> None:
    """Take the libraries' pages off the site and put the console's own in their place."""
    unwanted: tuple[type[Model], ...] = (
        ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule, AccessLog, AccessFailureLog,
    )  # fmt: skip
    ours: dict[type[Model], Any] = {
        User: PeopleAdmin,
        Group: GroupsAdmin,
        PeriodicTask: ScheduleAdmin,
        AccessAttempt: AttemptsAdmin,
    }
    for model in (*unwanted, *ours):
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    for model, page in ours.items():
        admin.site.register(model, page)


def _tell(request: HttpRequest, kind: str, person: User, what: str) -> None:
    reason = f"{kind.removeprefix('user.').capitalize()}: {what}." if what else ""
    people.tell(kind=kind, person=person, actor=caller(request).actor, reason=reason)
