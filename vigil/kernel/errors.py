"""Errors that know their code and their HTTP status; only `vigil.http` knows JSON."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong at one place of an input."""

    path: str
    """Where, such as `[3].value` or `condition.threshold`; "" is the whole."""
    message: str
    """What is wrong and what to send instead."""


def summary(errors: Sequence[FieldError]) -> str:
    """The first error with its place, as the end of a sentence, and how many more there are."""
    where = f"{errors[0].path}: " if errors[0].path else ""
    if len(errors) > 1:
        return f"{where}{errors[0].message.removesuffix('.')} (and {len(errors) - 1} more)."
    return f"{where}{errors[0].message}{'' if errors[0].message.endswith(('.', '?')) else '.'}"


class VigilError(Exception):
    """An anticipated refusal. `detail` is one sentence for the person who gets it."""

    code = "error"
    status = 400

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code if code is not None else type(self).code
        self.status = status if status is not None else type(self).status
        self.errors = tuple(errors)
        self.retry_after = retry_after
        """Seconds after which trying again makes sense."""


class NotFound(VigilError):
    """No such thing, or none that this caller may know of."""

    code = "not_found"
    status = 404


class Invalid(VigilError):
    """Well formed, but not valid."""

    code = "invalid"
    status = 422


class Conflict(VigilError):
    """The thing is not in a state for that."""

    code = "conflict"
    status = 409
