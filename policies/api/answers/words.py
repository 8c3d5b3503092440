"""Words that several answers have in common, each with what it may be."""

from typing import Annotated

from msgspec import Meta

from actions.states import Status
from policies.engine.values import Outcome
from policies.models import Answer as Concluded
from policies.models import Severity
from vigil.http.answers import Json, among

type SeverityWord = Annotated[str, among(Severity.values)]
type StatusWord = Annotated[str, among(Status)]
type VerdictWord = Annotated[str, among(Outcome)]
type ConclusionWord = Annotated[str, among(Concluded.values)]
type VerificationWord = Annotated[str, among(("", "effective", "ineffective", "unverifiable", "relapsed"))]
type Numbers = Annotated[Json, Meta(description="What went into it.")]
