"""The form for a policy. The condition is written one way at a time; that way is the truth, the others follow it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from actions import queries
from policies import documents
from policies.documents import Document, Json
from policies.engine import aggregates, durations, language, numerals, targets
from policies.engine.conditions import Across, Compare, Comparison, Condition
from policies.models import Policy, Severity
from vigil.http import strict_json
from vigil.kernel.errors import FieldError, VigilError

FIELDS, SENTENCE, JSON = "fields", "sentence", "json"
COMPARISONS = {
    Comparison.EXCEEDS: "is above",
    Comparison.BELOW: "is below",
    Comparison.AT_LEAST: "is at least",
    Comparison.AT_MOST: "is at most",
    Comparison.EQUALS: "equals",
    Comparison.NOT_EQUALS: "is not",
}
AGGREGATES = tuple(dict.fromkeys([*aggregates.names(), "p75", "p95"]))
_PLACES = {
    "condition.metric": "metric",
    "condition.type": "comparison",
    "condition.threshold": "threshold",
    "condition.aggregate": "aggregate",
    "condition.window": "window",
    "condition.for": "hold_for",
    "condition.recover": "recover",
}


def _text(**more: Any) -> forms.CharField:
    options: dict[str, Any] = {"required": False, "max_length": 250, **more}
    return forms.CharField(**options)


def _must(advice: str) -> dict[str, Any]:
    return {"required": True, "error_messages": {"required": advice}}


def _json(**more: Any) -> forms.CharField:
    return forms.CharField(required=False, widget=forms.Textarea(attrs={"spellcheck": "false"}), **more)


class PolicyForm(forms.Form):
    """Everything a policy says. What it means is judged by `policies.documents`, as for the API and for files."""

    name = _text(
        **_must("Give it a name, such as high-cpu."),
        label="Name",
        help_text="Lower-case letters, digits and dashes; it never changes.",
    )
    description = _text(label="Description", max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))
    severity = forms.ChoiceField(choices=Severity.choices, initial=Severity.WARNING)
    target = _text(label="Targets", help_text="A name, a pattern such as web-*, or * for every target.")
    target_tag = _text(label="Target tag", help_text="The tag that names the target; empty: the usual order.")
    enabled = forms.BooleanField(required=False, initial=True, label="In force")
    mode = forms.ChoiceField(
        choices=[
            ("observe", "Observe: write down what it would do"),
            ("suggest", "Suggest: propose the remedy; an operator's click starts it"),
            ("approve", "Ask for approval: propose the remedy; an approver lets it start"),
            ("auto", "Act: order the remedy by itself"),
        ],
        initial="observe",
        widget=forms.RadioSelect,
        label="What it may do",
    )

    written_as = forms.ChoiceField(
        choices=[(FIELDS, "Fields"), (SENTENCE, "A sentence"), (JSON, "JSON")],
        initial=FIELDS,
        widget=forms.RadioSelect,
        label="How do you want to write it?",
    )
    metric = _text(label="Metric", widget=forms.TextInput(attrs={"list": "known-metrics", "autocomplete": "off"}))
    comparison = forms.ChoiceField(choices=list(COMPARISONS.items()), required=False)
    threshold = _text(label="Threshold", widget=forms.TextInput(attrs={"inputmode": "decimal"}))
    aggregate = forms.ChoiceField(
        choices=[("", "its newest value"), *((name, name) for name in AGGREGATES)],
        required=False,
        label="Look at",
    )
    window = _text(label="Over the last", help_text="With an aggregate: 30s, 5m, 2h, 1d.")
    hold_for = _text(
        label="For at least", help_text="How long it must last before an incident opens: 2m. Empty: at once."
    )
    recover = _text(
        label="Recovers at",
        help_text="Once violated, healthy only beyond this number. Empty: the threshold itself.",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )
    sentence = _text(
        label="The condition as a sentence",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="For example: avg(cpu_percent, 5m) > 90 for 2m, or: error_rate > 5 and latency_ms > 800",
    )
    condition = _json(label="The condition as JSON", max_length=20_000)

    action = forms.ChoiceField(
        **_must("Choose a remedy; a policy that only observes says what it would do."), label="Remedy"
    )
    params = _json(
        label="Its parameters",
        max_length=16_384,
        help_text='A JSON object, such as {"replicas": 2} or {"zone": "{{ tags.zone }}"}.',
    )
    then = _json(
        label="And if that does not help",
        max_length=65_536,
        help_text='A JSON list of further steps: [{"action": "restart", "params": {}, "after": "2m"}].',
    )
    cooldown = _text(label="Cooldown", help_text="Least time between two actions on one target.")
    rate_count = forms.IntegerField(required=False, min_value=1, max_value=1000, label="At most")
    rate_per = _text(label="actions per", help_text="Such as 10m.")
    group_name = _text(label="Group", help_text="Actions of one group share a limit.")
    group_max = forms.IntegerField(required=False, min_value=1, max_value=1000, label="At once in the group")
    group_by = _text(
        label="Common cause among", help_text="The tag that divides the targets, such as zone; empty: all of them."
    )
    cause_percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Held when more than this % go bad",
        help_text="And at least five: then one cause is likely, and no single target is acted on. 100: never.",
    )
    cause_within = _text(label="Within", help_text="Such as 60s.")
    flap_high = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=101,
        label="Flaps from this % of change",
        help_text="Of its last 21 results: then nothing is ordered for the target. 101: never.",
    )
    flap_low = forms.IntegerField(required=False, min_value=1, max_value=100, label="Until it is less than this %")
    blast_percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Repair at most % of its targets",
        help_text="From five known targets on; one may always be. 100: all of them.",
    )
    blast_within = _text(label="Within", help_text="Such as 10m.")
    min_healthy = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=100,
        label="Only while % of them are healthy",
        help_text="From five known targets on; what is being repaired is not healthy. 0: always.",
    )
    act_in_maintenance = forms.BooleanField(required=False, label="Act in maintenance windows too")
    keep_open_for = _text(label="Keep open for", help_text="Stay healthy this long before it counts as resolved.")
    on_no_data = forms.ChoiceField(
        choices=[
            ("keep", "keep things as they are"),
            ("open", "treat it as violated"),
            ("resolve", "close as unverified"),
        ],
        required=False,
        initial="keep",
        label="When data stops",
    )
    settle = _text(label="Settle time", help_text="Wait this long after an action before judging whether it helped.")
    stable_for = _text(label="Stable for", help_text="It helped when the condition stays healthy this long.")
    samples = forms.IntegerField(
        required=False, min_value=1, max_value=100, label="On samples", help_text="So many newer than the action's end."
    )
    rollback = forms.BooleanField(required=False, label="Undo the remedy when it did not help")
    demote_bad = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=100,
        label="Demoted after",
        help_text="So many actions that did not help, or not for long; 0: never.",
    )
    demote_of = forms.IntegerField(required=False, min_value=1, max_value=100, label="Of the last")
    max_attempts = forms.IntegerField(required=False, min_value=1, max_value=10, label="Attempts per action")
    deadline = _text(label="Deadline", help_text="No attempt starts later than this after the order or its approval.")
    approval_expires = _text(
        label="Wait for a word", help_text="So long it waits for a click or an approval; empty: the default."
    )
    note = _text(label="Why this change?", max_length=500, help_text="Kept with the version.")
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, policy: Policy | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.policy = policy
        self.raw: Json = {}
        kinds = queries.kinds()
        self.fields["action"].choices = [("", "choose a remedy"), *((one.name, one.name) for one in kinds)]  # type: ignore[attr-defined]
        self.kinds = kinds
        if policy is not None:
            self.fields["name"].disabled = True
            self.fields["name"].initial = policy.name
        for field in self.fields.values():
            if not isinstance(field.widget, forms.RadioSelect | forms.CheckboxInput):
                field.widget.attrs["class"] = "vg-input"

    def clean_target(self) -> str:
        """Said here already, so that one look at the form shows every place."""
        written = str(self.cleaned_data["target"])
        try:
            targets.check(written)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return written

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        try:
            self.raw = document_of(data)
            read_condition(data)
        except Misread as error:
            self.refuse(error.places)
        return data

    def refuse(self, places: Iterable[FieldError]) -> None:
        """Put each refusal beside the field it is about."""
        for one in places:
            self.add_error(self._field(one.path), one.message)

    def _field(self, path: str) -> str | None:
        how = self.data.get("written_as", FIELDS)
        if path.startswith("condition"):
            if how == FIELDS:
                return _PLACES.get(path, "metric")
            return "sentence" if how == SENTENCE else "condition"
        head = path.partition("[")[0].partition(".")[0]
        head = {
            "rate": "rate_per" if path == "rate.per" else "rate_count",
            "group": "group_name",
            "demote": "demote_of" if path == "demote.of" else "demote_bad",
            "flapping": "flap_low" if path == "flapping.low" else "flap_high",
            "blast_radius": "blast_within" if path == "blast_radius.within" else "blast_percent",
            "common_cause": "cause_within" if path == "common_cause.within" else "cause_percent",
        }.get(head, head)
        return head if head in self.fields else None


class Misread(Exception):
    """The boxes hold something that is not even JSON or a number."""

    def __init__(self, *places: FieldError) -> None:
        super().__init__(places)
        self.places = places


def refusals(error: VigilError) -> Sequence[FieldError]:
    """A refusal as places, also when it names none."""
    return error.errors or (FieldError(path="", message=error.detail),)


def document_of(data: Mapping[str, Any]) -> Json:
    """The policy in the shape people write, from the form's values; empty boxes are left out."""
    optional: Json = {
        "target_tag": data.get("target_tag"),
        "then": _loaded(data.get("then"), "then"),
        "cooldown": data.get("cooldown"),
        "rate": _pair(data.get("rate_count"), data.get("rate_per"), "count", "per"),
        "group": _pair(data.get("group_name"), data.get("group_max"), "name", "max"),
        "group_by": data.get("group_by"),
        "common_cause": _pair(data.get("cause_percent"), data.get("cause_within"), "percent", "within"),
        "blast_radius": _pair(data.get("blast_percent"), data.get("blast_within"), "percent", "within"),
        "min_healthy": data.get("min_healthy"),
        "flapping": _pair(data.get("flap_high"), data.get("flap_low"), "high", "low"),
        "act_in_maintenance": bool(data.get("act_in_maintenance")) or None,
        "keep_open_for": data.get("keep_open_for"),
        "on_no_data": data.get("on_no_data"),
        "settle": data.get("settle"),
        "stable_for": data.get("stable_for"),
        "samples": data.get("samples"),
        "rollback": bool(data.get("rollback")) or None,
        "demote": _pair(data.get("demote_bad"), data.get("demote_of"), "bad", "of"),
        "max_attempts": data.get("max_attempts"),
        "deadline": data.get("deadline"),
        "approval_expires": data.get("approval_expires"),
    }
    return {
        "name": data.get("name", ""),
        "description": data.get("description", "").replace("\r\n", "\n"),
        "severity": data.get("severity"),
        "target": data.get("target", ""),
        "enabled": bool(data.get("enabled")),
        "mode": data.get("mode"),
        "condition": condition_of(data),
        "action": data.get("action", ""),
        "params": _loaded(data.get("params"), "params") or {},
        **{field: value for field, value in optional.items() if value not in (None, "", [])},
    }


def condition_of(data: Mapping[str, Any]) -> Json | str:
    """The condition as the chosen way of writing says it; Misread names the box that cannot be read."""
    match data.get("written_as"):
        case "sentence":
            return str(data.get("sentence", "")).strip()
        case "json":
            loaded = _loaded(data.get("condition"), "condition")
            if not isinstance(loaded, dict):
                raise Misread(
                    FieldError(
                        path="condition", message='Write a JSON object, such as {"type": "metric_exceeds", ...}.'
                    )
                )
            return loaded
        case _:
            return _from_fields(data)


def read_condition(data: Mapping[str, Any]) -> Condition:
    """The condition itself; Misread with every place that is wrong, in a sentence with a caret below it."""
    written = condition_of(data)
    try:
        return language.parse(written) if isinstance(written, str) else language.from_json(written)
    except language.SentenceError as error:
        raise Misread(FieldError(path="condition", message=f"{error}\n{error.pointed()}")) from error
    except language.ConditionError as error:
        raise Misread(
            *(FieldError(path=f"condition.{path}".rstrip("."), message=message) for path, message in error.errors)
        ) from error


def ways(condition: Condition) -> dict[str, Any]:
    """The same condition in each way of writing; `fields` is None where the fields cannot say it."""
    return {
        "sentence": language.to_sentence(condition),
        "condition": json.dumps(language.to_json(condition), indent=2),
        "fields": _to_fields(condition),
    }


def initial_of(policy: Policy, document: Document, kept: Mapping[str, Any]) -> dict[str, Any]:
    """What the form shows for a policy as it is."""
    said = ways(document.condition)
    rate, group, cause = kept.get("rate") or {}, kept.get("group") or {}, kept.get("common_cause") or {}
    flap, blast = kept.get("flapping") or {}, kept.get("blast_radius") or {}
    plain = {
        field: kept.get(field, "")
        for field in (
            "description", "severity", "target", "target_tag", "mode", "action", "cooldown", "keep_open_for",
            "on_no_data", "settle", "stable_for", "samples", "rollback", "max_attempts", "deadline", "approval_expires",
            "group_by", "act_in_maintenance",
        )
    }  # fmt: skip
    return {
        **plain,
        "name": policy.name,
        "enabled": policy.enabled,
        "written_as": FIELDS if said["fields"] is not None else SENTENCE,
        **(said["fields"] or {}),
        "sentence": said["sentence"],
        "condition": said["condition"],
        "params": json.dumps(kept.get("params", {}), indent=2) if kept.get("params") else "",
        "then": json.dumps(kept["then"], indent=2) if kept.get("then") else "",
        "keep_open_for": "" if kept.get("keep_open_for") == "0s" else kept.get("keep_open_for", ""),
        "rate_count": rate.get("count"),
        "rate_per": rate.get("per", ""),
        "group_name": group.get("name", ""),
        "group_max": group.get("max"),
        "cause_percent": cause.get("percent"),
        "cause_within": cause.get("within", ""),
        "blast_percent": blast.get("percent"),
        "blast_within": blast.get("within", ""),
        "min_healthy": kept.get("min_healthy"),
        "flap_high": flap.get("high"),
        "flap_low": flap.get("low"),
        "demote_bad": (kept.get("demote") or {}).get("bad"),
        "demote_of": (kept.get("demote") or {}).get("of"),
        "version": policy.current.number if policy.current is not None else None,
    }


def for_a_try(raw: Json) -> Json:
    """A draft that has no name or remedy yet may be tried on data all the same."""
    return {**raw, "name": raw.get("name") or "draft", "action": raw.get("action") or "custom"}


def provisional(raw: Json) -> Document:
    """The document of a draft, without asking whether its remedy exists; UnableToReadPolicy otherwise."""
    return documents.read(for_a_try(raw)).document


def _to_fields(condition: Condition) -> dict[str, str] | None:
    if not isinstance(condition, Compare) or condition.measure.tags or condition.measure.across is not Across.ANY:
        return None
    measure = condition.measure
    if measure.aggregate is not None and measure.aggregate not in AGGREGATES:
        return None
    return {
        "metric": measure.metric,
        "comparison": condition.comparison.value,
        "threshold": numerals.exact(condition.threshold),
        "aggregate": measure.aggregate or "",
        "window": durations.text(measure.window) if measure.window else "",
        "hold_for": durations.text(condition.hold_for) if condition.hold_for else "",
        "recover": "" if condition.recover is None else numerals.exact(condition.recover),
    }


def _from_fields(data: Mapping[str, Any]) -> Json:
    wrong = (
        []
        if data.get("metric")
        else [FieldError(path="condition.metric", message="Name a metric, such as cpu_percent.")]
    )
    numbers: Json = {}
    for field in ("threshold", "recover"):
        try:
            said = str(data.get(field, "")).strip()
            numbers[field] = float(said) if said else None
        except ValueError:
            wrong.append(FieldError(path=f"condition.{field}", message="Write a number, such as 90 or 0.5."))
    if numbers.get("threshold", 0) is None:
        wrong.append(FieldError(path="condition.threshold", message="Say beyond which number it is bad."))
    if wrong:
        raise Misread(*wrong)
    optional = {
        "aggregate": data.get("aggregate"),
        "window": data.get("window"),
        "for": data.get("hold_for"),
        "recover": numbers["recover"],
    }
    return {
        "type": data.get("comparison") or Comparison.EXCEEDS.value,
        "metric": data["metric"],
        "threshold": numbers["threshold"],
        **{field: value for field, value in optional.items() if value not in (None, "")},
    }


def _loaded(text: str | None, path: str) -> Any:
    if not text or not text.strip():
        return None
    try:
        return strict_json.decode(text.encode())
    except VigilError as error:
        raise Misread(FieldError(path=path, message=f"This is not JSON: {error.detail}")) from error


def _pair(first: object, second: object, one: str, other: str) -> Json | None:
    """Two boxes that belong together; half of them is passed on, so that the refusal says what is missing."""
    said = {one: first, other: second}
    return {field: value for field, value in said.items() if value not in (None, "")} or None
