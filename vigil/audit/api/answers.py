"""What the API answers about who did what, as `vigil.audit.entries.shown` makes it."""

from typing import Annotated

from msgspec import Meta, field

from vigil.http.answers import Answer, Json, Moment, Page


class Entry(Answer, frozen=True, kw_only=True):
    """Something that changed."""

    subject: Annotated[str, Meta(description="Of what, such as `action:456`.")]
    seq: Annotated[int, Meta(description="Counts the entries of the subject.")]
    kind: str
    from_: str = field(name="from")
    to: str
    actor: str
    reason: str
    numbers: Annotated[Json, Meta(description="What went into it.")]
    request_id: str
    at: Moment


class Entries(Page, frozen=True, kw_only=True):
    """A page of the audit."""

    entries: list[Entry]
