"""What the API answers about targets on which policies that fought are frozen."""

from typing import Annotated

from msgspec import Meta

from vigil.http.answers import Answer, Moment, Page


class Freeze(Answer, frozen=True, kw_only=True):
    """Policies that undid each other's work on a target, and so act there no more."""

    id: int
    target: str
    policies: list[str]
    reason: str
    evidence: Annotated[list[int], Meta(description="The actions that undid each other.")]
    since: Moment
    until: Moment
    lifted_at: Moment | None
    lifted_by: str | None


class Freezes(Page, frozen=True, kw_only=True):
    """A page of freezes."""

    freezes: list[Freeze]
