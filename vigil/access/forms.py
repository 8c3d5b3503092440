"""The form for a new API key."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from vigil.access import scopes
from vigil.kernel.errors import VigilError

MEANINGS = {
    scopes.INGEST: "send metrics and events",
    scopes.READ: "read everything",
    scopes.ACTIONS_WRITE: "order, cancel and retry actions; acknowledge and resolve incidents",
    scopes.ACTIONS_APPROVE: "approve actions",
    scopes.POLICIES_WRITE: "create and change policies",
    scopes.REMEDIATOR: "fetch tasks and report results, as a remediator does",
    scopes.CONTROL: "pause Vigil and let it act again",
    scopes.SIMULATOR: "start and stop the simulator",
}
EXPIRIES = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}


class KeyForm(forms.Form):
    """What a new key is for. The key itself is made by `vigil.access.keys`."""

    name = forms.CharField(
        max_length=100,
        label="Who uses it",
        help_text="Such as agent-web-01. It appears in the audit as key:agent-web-01.",
        widget=forms.TextInput(attrs={"class": "vg-input", "autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {meaning}") for scope, meaning in MEANINGS.items()],
        widget=forms.CheckboxSelectMultiple,
        label="What it may do",
        error_messages={"required": "Choose at least one; an agent that only sends metrics needs ingest."},
    )
    expires = forms.ChoiceField(
        choices=list(EXPIRIES.items()),
        required=False,
        initial="90",
        label="It expires",
        widget=forms.Select(attrs={"class": "vg-input"}),
    )
    targets = forms.CharField(
        required=False,
        max_length=1000,
        label="Only for these targets",
        help_text="Patterns, comma separated, such as web-*, db-01. Empty: all.",
        widget=forms.TextInput(attrs={"class": "vg-input", "autocomplete": "off"}),
    )

    def expires_at(self, at: datetime) -> datetime | None:
        """When the new key ends."""
        days = self.cleaned_data["expires"]
        return at + timedelta(days=int(days)) if days else None

    def patterns(self) -> list[str]:
        """The targets as a list."""
        return [part.strip() for part in self.cleaned_data["targets"].split(",") if part.strip()]

    def refuse(self, error: VigilError) -> None:
        """Put each refusal beside its field."""
        places: list[tuple[str | None, Any]] = [(one.path, one.message) for one in error.errors] or [
            (None, error.detail)
        ]
        for path, message in places:
            self.add_error(path if path in self.fields else None, message)
