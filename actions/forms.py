"""Forms for what administrators edit about acting; every refusal comes from the code that will run with it."""

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from actions import catalogue, queries
from actions.models import ActionType, Remediator
from actions.remediators import registry
from vigil.http import strict_json
from vigil.kernel.errors import VigilError

EXAMPLE = '{"url": "https://remediator.internal/remediate", "contract": "basic"}'


class OrderForm(forms.Form):
    """An action ordered by hand. Whether it may be is `actions.dispatch`'s business."""

    kind = forms.ChoiceField(label="What", widget=forms.Select(attrs={"class": "vg-input"}))
    target = forms.CharField(
        label="On which target",
        max_length=250,
        help_text="One target by its name, such as web-01.",
        widget=forms.TextInput(attrs={"class": "vg-input", "autocomplete": "off"}),
    )
    params = forms.CharField(
        label="With which parameters",
        required=False,
        max_length=16_384,
        help_text='A JSON object, such as {"replicas": 2}; empty is none.',
        widget=forms.Textarea(attrs={"class": "vg-input", "rows": 3, "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label="Why",
        max_length=500,
        help_text="It goes into the audit and to the remediator.",
        widget=forms.TextInput(attrs={"class": "vg-input", "autocomplete": "off"}),
    )
    key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    """Of this page: sending the form twice orders once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(one.name, f"{one.name}: {one.description}") for one in queries.kinds() if one.enabled]
        self.fields["kind"].choices = [("", "choose"), *known]  # type: ignore[attr-defined]

    def clean_params(self) -> dict[str, object]:
        """The text as an object."""
        text = self.cleaned_data["params"].strip() or "{}"
        try:
            loaded = strict_json.decode(text.encode())
        except VigilError as error:
            raise forms.ValidationError(f"This is not JSON: {error.detail}") from error
        if not isinstance(loaded, dict):
            raise forms.ValidationError('Write a JSON object, such as {"replicas": 2}.')
        return loaded

    def refuse(self, error: VigilError) -> None:
        """Put each refusal beside its field."""
        for one in error.errors:
            head = one.path.partition(".")[0].partition("[")[0]
            place = {"action": "kind", "target": "target", "params": "params"}.get(head)
            self.add_error(place, f"{one.path}: {one.message}")
        if not error.errors:
            self.add_error(None, error.detail)


class RemediatorForm(forms.ModelForm):  # type: ignore[type-arg]
    """A remediator; its secret can be replaced or dropped, never read."""

    kind = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget,
        help_text="http: a service; pull: fetches; command: an allowed program; log: only says so.",
    )
    config = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=f'JSON. For http: {EXAMPLE}. For pull: {{"keys": [names of API keys]}}. '
        "For command: the name of an entry of VIGIL_COMMANDS.",
    )
    new_secret = forms.CharField(
        required=False,
        strip=True,
        label="New secret",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Signs every call. Stored encrypted and never shown again; leave empty to keep the present one.",
    )
    drop_secret = forms.BooleanField(
        required=False,
        label="Forget the secret",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Calls are then not signed.",
    )

    class Meta:
        model = Remediator
        fields = ("name", "kind", "config", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            known = sorted(registry.kinds(settings.VIGIL_REMEDIATORS))
            self.fields["kind"].choices = [(kind, kind) for kind in known]  # type: ignore[attr-defined]

    def clean_config(self) -> object:
        """An empty box is an empty configuration, not null."""
        config = self.cleaned_data.get("config")
        return {} if config is None else config

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("new_secret") and data.get("drop_secret"):
            self.add_error("new_secret", "Either a new secret or none at all; choose one.")
        if not self.errors:
            self._try()
        return data

    def save(self, commit: bool = True) -> Remediator:
        self.instance.secret = self._secret()
        saved: Remediator = super().save(commit)
        return saved

    def _secret(self) -> str:
        if self.cleaned_data.get("drop_secret"):
            return ""
        return str(self.cleaned_data.get("new_secret") or self.instance.secret)

    def _try(self) -> None:
        """Build it as the worker will: what cannot be built is not saved."""
        config = self.cleaned_data["config"]
        if not isinstance(config, dict):
            self.add_error("config", f"The configuration is a JSON object, such as {EXAMPLE}.")
            return
        try:
            registry.build(
                kind=self.cleaned_data["kind"],
                config=config,
                secret=self._secret(),
                commands=settings.VIGIL_COMMANDS,
                extra=settings.VIGIL_REMEDIATORS,
            )
        except VigilError as error:
            for one in error.errors:
                place = {"kind": "kind", "secret": "new_secret"}.get(one.path, "config")
                self.add_error(place, f"{one.path}: {one.message}")
            if not error.errors:
                self.add_error("config", error.detail)


class ActionTypeForm(forms.ModelForm):  # type: ignore[type-arg]
    """An action type; its schema has to be one."""

    schema = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false"}),
        label="Parameters",
        help_text="JSON Schema of the parameters; {} takes any.",
    )

    rollback = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Undone by",
        help_text="The type that undoes this one with the same parameters; a policy's step may then ask for it.",
    )

    class Meta:
        model = ActionType
        fields = (
            "name",
            "description",
            "remediator",
            "schema",
            "retry_safety",
            "risk",
            "max_seconds",
            "cancel",
            "rollback",
            "tells",
            "enabled",
        )
        help_texts = {
            "name": "Keeps its meaning for ever; it cannot be changed later.",
            "retry_safety": "Whether an attempt that got no clear answer may be repeated. In doubt: never sent twice.",
            "risk": "high waits for an approver when a policy orders it; critical always waits for two different ones.",
            "max_seconds": "Seconds that one attempt may run before a person is asked.",
            "cancel": "Whether the remediator can stop one that is running.",
            "tells": "Like a page: it mends nothing, so nobody judges whether it helped.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rollback" in self.fields:
            others = [one.name for one in queries.kinds() if one.name != self.instance.name]
            self.fields["rollback"].choices = [("", "nothing"), *((name, name) for name in others)]  # type: ignore[attr-defined]

    def clean_schema(self) -> object:
        """Empty means: takes any parameters."""
        schema = self.cleaned_data.get("schema") or {}
        fault = catalogue.schema_fault(schema)
        if fault:
            raise forms.ValidationError(f"This is no JSON Schema: {fault}.")
        return schema
