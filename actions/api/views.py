"""The API of actions: each view reads the request, makes one call, and shows the answer."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import approvals, brakes, control, dispatch, quarantines, queries, reporting, steering, storms
from actions.api import answers, bodies, reach, shapes, signed
from actions.brakes import Brakes
from actions.models import Action
from actions.queries import ActionView
from actions.states import Status
from vigil.access import bounds, scopes
from vigil.access.principal import Principal
from vigil.audit import entries
from vigil.http import pagination, parameters, query, schema
from vigil.http.views import ApiView
from vigil.kernel.errors import FieldError, Invalid, NotFound

_PAGE = ("limit", "offset")
_FILTERS = ("status", "target", "policy", "incident", "since", "until", *_PAGE)
_STATUSES = tuple(status.value for status in Status)
_INCIDENT_MAX = 10**12 - 1
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


_DESCRIBED = [
    parameters.text("target"),
    parameters.text("policy"),
    parameters.whole("incident", "Its id.", least=0, most=_INCIDENT_MAX),
    *parameters.SPAN,
    *parameters.PAGE,
]


class ActionsView(ApiView):
    """All actions, and orders by hand."""

    required_scopes = {"GET": scopes.READ, "POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        operation_id="actions_list",
        summary="List actions",
        parameters=[parameters.choice("status", _STATUSES), *_DESCRIBED],
        responses=schema.answers({200: answers.Actions}),
    )
    def get(self, request: Request) -> Response:
        query.only(request, _FILTERS)
        return _list(self, request, status=query.choice(request, "status", _STATUSES))

    @extend_schema(
        summary="Order an action by hand",
        parameters=[parameters.IDEMPOTENCY_KEY],
        request=schema.body(bodies.OrderBody),
        responses=schema.answers({200: answers.Action, 201: answers.Action}, 409),
    )
    def post(self, request: Request) -> Response:
        wish = self.body(request, bodies.OrderBody)
        caller = self.caller(request)
        reach.check_target(wish.target, caller)
        answer = dispatch.order_by_hand(
            kind=wish.action,
            target=wish.target,
            params=wish.params,
            reason=wish.reason,
            actor=caller.actor,
            at=self.at(request),
            idempotency_key=_idempotency_key(request),
            severity=wish.severity,
        )
        action, created = bodies.ordered(answer)
        return Response(shapes.action(action), status=201 if created else 200)


class ActionsByStatusView(ApiView):
    """The actions of one status."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="actions_list_of_status",
        summary="List actions of a status",
        parameters=[parameters.path("status", _STATUSES), *_DESCRIBED],
        responses=schema.answers({200: answers.Actions}),
    )
    def get(self, request: Request, status: str) -> Response:
        query.only(request, _FILTERS[1:])
        if status not in _STATUSES:
            raise NotFound(f"There is no status {status[:50]!r}; use one of {', '.join(_STATUSES)}.")
        return _list(self, request, status=status)


class OneActionView(ApiView):
    """One action with its attempts and its story; its notes can be changed."""

    required_scopes = {"GET": scopes.READ, "PATCH": scopes.ACTIONS_WRITE}

    @extend_schema(summary="Show an action", responses=schema.answers({200: answers.WholeAction}))
    def get(self, request: Request, action_id: str) -> Response:
        return Response(_whole(reach.one(int(action_id), self.caller(request)), at=self.at(request)))

    @extend_schema(
        summary="Change an action's notes",
        request=schema.body(bodies.NotesBody),
        responses=schema.answers({200: answers.Action}),
    )
    def patch(self, request: Request, action_id: str) -> Response:
        return _annotate(self, request, action_id)


class NotesView(ApiView):
    """Notes on an action."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Write notes on an action",
        request=schema.body(bodies.NotesBody),
        responses=schema.answers({200: answers.Action}),
    )
    def post(self, request: Request, action_id: str) -> Response:
        return _annotate(self, request, action_id)


class CancelView(ApiView):
    """Cancels an action: at once while it waits (200), else as a request (202)."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Cancel an action",
        request=schema.body(bodies.ReasonBody),
        responses=schema.answers({200: answers.Cancelled, 202: answers.Cancelled}, 409),
    )
    def post(self, request: Request, action_id: str) -> Response:
        caller = self.caller(request)
        reason = _optional_reason(self, request)
        reach.one(int(action_id), caller)
        action = steering.cancel(action_id=int(action_id), actor=caller.actor, reason=reason, at=self.at(request))
        outcome = "requested" if action.is_live else "cancelled"
        return Response({**shapes.action(action), "cancel": outcome}, status=202 if action.is_live else 200)


class ApproveView(ApiView):
    """Lets an action run that waits for somebody's word."""

    required_scopes = {"POST": scopes.EITHER_WORD}

    @extend_schema(
        summary="Approve an action that waits for it",
        description="A suggestion takes `actions:write` or `actions:approve`, everything else `actions:approve`."
        " 409 names the guard that holds it, or says that it is no longer wanted; 403 that somebody else has to do it.",
        request=schema.body(bodies.ReasonBody),
        responses=schema.answers({200: answers.Judged}, 409),
    )
    def post(self, request: Request, action_id: str) -> Response:
        return _judge(self, request, action_id, approvals.approve)


class RejectView(ApiView):
    """Turns an action down that waits for somebody's word."""

    required_scopes = {"POST": scopes.EITHER_WORD}

    @extend_schema(
        summary="Reject an action that waits for approval",
        request=schema.body(bodies.ReasonBody),
        responses=schema.answers({200: answers.Judged}, 409),
    )
    def post(self, request: Request, action_id: str) -> Response:
        return _judge(self, request, action_id, approvals.reject)


class RetryView(ApiView):
    """Orders a failed or cancelled action again, as a new one."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Retry an action",
        request=schema.body(bodies.ReasonBody),
        responses=schema.answers({200: answers.Action, 201: answers.Action}, 409),
    )
    def post(self, request: Request, action_id: str) -> Response:
        caller = self.caller(request)
        reason = _optional_reason(self, request)
        reach.one(int(action_id), caller)
        answer = steering.retry(action_id=int(action_id), actor=caller.actor, reason=reason, at=self.at(request))
        action, created = bodies.ordered(answer)
        return Response(shapes.action(action), status=201 if created else 200)


class ResultView(ApiView):
    """A remediator's callback: how work that it answered with 202 ended."""

    authentication_classes = (signed.SignedByRemediator,)
    required_scopes = {"POST": scopes.REMEDIATOR}

    @extend_schema(
        summary="Report how an accepted action ended (signed by its remediator)",
        request=schema.body(bodies.ResultBody),
        responses=schema.answers({200: answers.Action}, 409),
    )
    def post(self, request: Request, action_id: str) -> Response:
        said = self.body(request, bodies.ResultBody)
        if said.action_id not in (None, int(action_id)):
            raise Invalid(
                "The report is about another action than the address.",
                errors=[FieldError(path="action_id", message=f"must be {action_id}, or left out")],
            )
        report = reporting.Report(
            key=said.key, status=said.status, message=said.message, details=said.details, run_id=said.run_id
        )
        actor = self.caller(request).actor
        return Response(shapes.action(reporting.settle(action_id=int(action_id), report=report, actor=actor)))


class ControlView(ApiView):
    """The control switch."""

    required_scopes = {"GET": scopes.READ, "PUT": scopes.CONTROL}

    @extend_schema(summary="Show the control switch", responses=schema.answers({200: answers.Control}))
    def get(self, request: Request) -> Response:
        return Response(shapes.control(control.state()))

    @extend_schema(
        summary="Set the control switch",
        request=schema.body(bodies.ControlBody),
        responses=schema.answers({200: answers.Control}),
    )
    def put(self, request: Request) -> Response:
        wish = self.body(request, bodies.ControlBody)
        actor = self.caller(request).actor
        state = control.set_mode(mode=wish.mode, reason=wish.reason, actor=actor, at=self.at(request))
        return Response(shapes.control(state))


class GuardsView(ApiView):
    """What guards hold until a person or time lets go."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(
        operation_id="guards_read",
        summary="Show storms, targets in quarantine, and circuits that are not closed",
        responses=schema.answers({200: answers.Guards}),
    )
    def get(self, request: Request) -> Response:
        return Response(shapes.brakes(_seen(brakes.standing(), self.caller(request))))


class ResetView(ApiView):
    """Lets a scope act again that a storm holds."""

    required_scopes = {"POST": scopes.CONTROL}

    @extend_schema(
        summary="Reset a storm brake",
        request=schema.body(bodies.ResetBody),
        responses=schema.answers({200: answers.Guards}, 409),
    )
    def post(self, request: Request) -> Response:
        wish = self.body(request, bodies.ResetBody)
        caller = self.caller(request)
        storms.reset(scope=wish.scope, actor=caller.actor, reason=wish.reason)
        return Response(shapes.brakes(_seen(brakes.standing(), caller)))


class LiftView(ApiView):
    """Takes a target out of quarantine."""

    required_scopes = {"POST": scopes.ACTIONS_WRITE}

    @extend_schema(
        summary="Lift a quarantine",
        request=schema.body(bodies.LiftBody),
        responses=schema.answers({200: answers.Guards}, 409),
    )
    def post(self, request: Request) -> Response:
        wish = self.body(request, bodies.LiftBody)
        caller = self.caller(request)
        reach.check_target(wish.target, caller)
        quarantines.lift(target=wish.target, actor=caller.actor, reason=wish.reason)
        return Response(shapes.brakes(_seen(brakes.standing(), caller)))


class ActionTypesView(ApiView):
    """What can be ordered."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(summary="List action types", responses=schema.answers({200: answers.ActionTypes}))
    def get(self, request: Request) -> Response:
        kinds = [shapes.action_type(kind) for kind in queries.kinds()]
        return Response({"count": len(kinds), "action_types": kinds})


class QueueStatsView(ApiView):
    """Queue depth and totals."""

    required_scopes = {"GET": scopes.READ}

    @extend_schema(summary="Show queue statistics", responses=schema.answers({200: answers.QueueStats}))
    def get(self, request: Request) -> Response:
        seen = reach.rows(queries.filtered(), self.caller(request))
        return Response(queries.queue_stats(self.at(request), seen=seen))


def _seen(found: Brakes, caller: Principal) -> Brakes:
    """A key that is bound to targets learns of no other."""
    mine = tuple(row for row in found.quarantined if bounds.covers(caller.targets, row.target))
    return replace(found, quarantined=mine)


def _list(view: ApiView, request: Request, *, status: str) -> Response:
    found = reach.rows(_filtered(request, status=status), view.caller(request))
    page = pagination.page(request, found)
    return Response({**page.head(), "actions": [shapes.action(queries.view(row)) for row in page.rows]})


def _filtered(request: Request, *, status: str) -> QuerySet[Action]:
    incident = query.whole(request, "incident", default=0, least=0, most=_INCIDENT_MAX)
    return queries.filtered(
        status=status or None,
        target=query.text(request, "target") or None,
        policy=query.text(request, "policy") or None,
        incident_id=incident or None,
        since=query.moment(request, "since"),
        until=query.moment(request, "until"),
    )


def _whole(action: ActionView, *, at: datetime) -> dict[str, object]:
    return {
        **shapes.action(action),
        "approval": shapes.approval(approvals.picture(action, at=at)),
        "tries": [shapes.attempt(attempt) for attempt in queries.attempts_of(action.id)],
        "timeline": [entries.shown(entry) for entry in entries.of(f"action:{action.id}")],
    }


def _judge(view: ApiView, request: Request, action_id: str, judge: Callable[..., ActionView]) -> Response:
    caller = view.caller(request)
    reason = _optional_reason(view, request)
    reach.one(int(action_id), caller)
    at = view.at(request)
    action = judge(action_id=int(action_id), voice=reach.voice(caller), reason=reason, at=at)
    return Response({**shapes.action(action), "approval": shapes.approval(approvals.picture(action, at=at))})


def _annotate(view: ApiView, request: Request, action_id: str) -> Response:
    caller = view.caller(request)
    wish = view.body(request, bodies.NotesBody)
    reach.one(int(action_id), caller)
    action = steering.annotate(action_id=int(action_id), notes=wish.notes, actor=caller.actor, at=view.at(request))
    return Response(shapes.action(action))


def _optional_reason(view: ApiView, request: Request) -> str:
    """A verb needs no body."""
    if not view.raw_body(request):
        return ""
    return view.body(request, bodies.ReasonBody).reason


def _idempotency_key(request: Request) -> str:
    key: str = request.headers.get("Idempotency-Key", "")
    if key and not _KEY.fullmatch(key):
        message = "1 to 200 visible ASCII characters"
        raise Invalid(
            f"Idempotency-Key must be {message}.", errors=[FieldError(path="Idempotency-Key", message=message)]
        )
    return key
