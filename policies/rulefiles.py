"""Alerting rules of Prometheus and Mimir -> policies that only observe, with a report of what became of each."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import promql_parser
import yaml

from policies import documents, transfer
from policies.engine import durations, language
from policies.engine.conditions import Condition, PromQL
from policies.engine.translation import translate
from policies.engine.translation.parts import Untranslatable
from policies.engine.translation.translate import Translated
from vigil.kernel.errors import VigilError

FILE_MAX_BYTES = 8 * 1_048_576
USUAL_ACTION = "custom"
ACTION_KEY = "vigil_action"
"""An annotation or label of a rule that names the action type."""
_SEVERITIES = {
    "critical": ("critical", "page", "emergency", "fatal", "error", "high", "disaster", "p1"),
    "info": ("info", "information", "informational", "notice", "low", "debug", "none"),
}
_LONGEST_DESCRIPTION = 2000
_NO_NAME = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

type Fate = Literal["translated", "promql", "left out"]


class UnableToReadRules(VigilError):
    """The file holds no rules that can be read."""

    code = "invalid_rule_file"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One alerting rule as it is written."""

    alert: str
    expression: str
    hold_for: str
    keep_firing_for: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    place: str
    """File and group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of one rule."""

    rule: Found
    fate: Fate
    kind: str = ""
    """Of the reason why it was not translated, for counting."""
    reason: str = ""
    policy: Mapping[str, object] | None = None
    sentence: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The policy's name; "" when there is none."""
        return "" if self.policy is None else str(self.policy["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """Every rule of some files."""

    brought: tuple[Brought, ...]
    recording: int
    """Recording rules, which say nothing that a policy could."""

    @property
    def policies(self) -> list[Mapping[str, object]]:
        return [one.policy for one in self.brought if one.policy is not None]

    def count(self, fate: Fate) -> int:
        return sum(one.fate == fate for one in self.brought)

    def lines(self) -> list[str]:
        """For a terminal."""
        said = [line for one in self.brought for line in _lines(one)]
        total = len(self.brought)
        share = f"{100 * self.count('translated') / total:.0f} %" if total else "none"
        kinds = Counter(one.kind for one in self.brought if one.kind)
        why = [f"  {count:4}  {kind}" for kind, count in kinds.most_common()]
        return [
            *said,
            f"{total} alerting rules: {self.count('translated')} translated ({share}), {self.count('promql')} kept as"
            f" promql, {self.count('left out')} left out; {self.recording} recording rules skipped.",
            *(["Not translated, by reason:", *why] if why else []),
        ]

    def as_json(self) -> dict[str, object]:
        """For a machine."""
        return {
            "total": len(self.brought),
            "translated": self.count("translated"),
            "promql": self.count("promql"),
            "left_out": self.count("left out"),
            "recording": self.recording,
            "rules": [_as_json(one) for one in self.brought],
        }


def bring(
    files: Mapping[str, bytes], *, action: str = USUAL_ACTION, join_per_target: bool = False, taken: Sequence[str] = ()
) -> Harvest:
    """Turn every alerting rule of these files into a policy; UnableToReadRules when a file holds no rule groups.

    `taken` are names that are no longer free; `join_per_target` is explained with `translate`.
    """
    names = set(taken)
    brought, recording = [], 0
    for name, content in files.items():
        for rule in _rules(name, content):
            if rule is None:
                recording += 1
            else:
                brought.append(_bring(rule, names, action=action, join_per_target=join_per_target))
    return Harvest(brought=tuple(brought), recording=recording)


def as_yaml(harvest: Harvest) -> str:
    """The policies as a file that `import_policies` takes."""
    return transfer.written_out([dict(policy) for policy in harvest.policies])


def _rules(name: str, content: bytes) -> Iterator[Found | None]:
    """Each alerting rule, and None for each recording rule."""
    holders = [holder for document in _documents(name, content) for holder in _holders(document)]
    if not holders:
        raise UnableToReadRules(
            f"{name} holds no rule groups: it needs `groups:`, or `spec.groups:` as PrometheusRule."
        )
    groups = [group for holder in holders for group in holder if isinstance(group, dict)]
    for group in groups:
        for rule in group.get("rules") or []:
            yield _found(f"{name}: {group.get('name', 'no name')}", rule)


def _documents(name: str, content: bytes) -> list[object]:
    if len(content) > FILE_MAX_BYTES:
        raise UnableToReadRules(f"{name} is larger than {FILE_MAX_BYTES:,} bytes.")
    try:
        return list(yaml.safe_load_all(content.decode("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UnableToReadRules(f"{name} is not YAML: {' '.join(str(error).split())[:300]}.") from error


def _holders(document: object) -> list[list[object]]:
    """The lists of groups in a rule file, in a PrometheusRule, or in a list of those."""
    if not isinstance(document, dict):
        return []
    items = document.get("items")
    if isinstance(items, list):
        return [holder for item in items for holder in _holders(item)]
    spec = document.get("spec")
    within = spec if isinstance(spec, dict) else document
    if "groups" not in within:
        return []
    groups = within["groups"] or []
    return [groups] if isinstance(groups, list) else []


def _found(place: str, rule: object) -> Found | None:
    if not isinstance(rule, dict) or "expr" not in rule or not ("alert" in rule or "record" in rule):
        raise UnableToReadRules(f"{place}: a rule has `alert` or `record`, and `expr`.")
    if "alert" not in rule:
        return None
    return Found(
        alert=str(rule["alert"]),
        expression=str(rule["expr"]).strip(),
        hold_for=str(rule.get("for") or "0s"),
        keep_firing_for=str(rule.get("keep_firing_for") or "0s"),
        labels=_texts(rule.get("labels")),
        annotations=_texts(rule.get("annotations")),
        place=place,
    )


def _texts(mapping: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()} if isinstance(mapping, dict) else {}


def _bring(rule: Found, names: set[str], *, action: str, join_per_target: bool) -> Brought:
    try:
        hold_for, keep = _length(rule.hold_for), _length(rule.keep_firing_for)
    except ValueError as error:
        return Brought(rule=rule, fate="left out", kind="duration", reason=str(error))
    try:
        translated = translate.translate(rule.expression, hold_for=hold_for, join_per_target=join_per_target)
    except Untranslatable as error:
        return _kept(rule, names, hold_for, keep, action=action, kind=error.kind, reason=str(error))
    except ValueError as error:
        return Brought(rule=rule, fate="left out", kind="no PromQL", reason=f"the parser says: {error}")
    policy = _policy(rule, names, translated, keep, action=action)
    return _checked(rule, "translated", policy, names, sentence=translated.sentence, notes=translated.notes)


def _kept(
    rule: Found, names: set[str], hold_for: timedelta, keep: timedelta, *, action: str, kind: str, reason: str
) -> Brought:
    """The expression as it is, to be asked of a configured server."""
    condition: Condition = PromQL(query=rule.expression, hold_for=hold_for)
    try:
        language.from_json(language.to_json(condition))
    except language.ConditionError as error:
        return Brought(rule=rule, fate="left out", kind=kind, reason=f"{reason}; as promql: {error}")
    policy = _policy(rule, names, Translated(condition=condition), keep, action=action)
    return _checked(rule, "promql", policy, names, kind=kind, reason=reason)


def _policy(rule: Found, names: set[str], translated: Translated, keep: timedelta, *, action: str) -> dict[str, object]:
    tag = {"target_tag": translated.target_tag} if translated.target_tag else {}
    return {
        "name": _free_name(rule, names),
        "description": _description(rule),
        "severity": _severity(rule.labels.get("severity", "")),
        "target": translated.target,
        **tag,
        "enabled": True,
        "auto_remediate": False,
        "condition": language.to_json(translated.condition),
        "action": rule.annotations.get(ACTION_KEY) or rule.labels.get(ACTION_KEY) or action,
        "keep_open_for": durations.text(keep),
        "on_no_data": "resolve",
    }


def _checked(
    rule: Found,
    fate: Fate,
    policy: dict[str, object],
    names: set[str],
    *,
    kind: str = "",
    reason: str = "",
    sentence: str = "",
    notes: tuple[str, ...] = (),
) -> Brought:
    """What Vigil would refuse as a policy is left out, with what it says."""
    try:
        documents.read(policy)
    except documents.UnableToReadPolicy as error:
        return Brought(rule=rule, fate="left out", kind="no policy", reason=error.detail)
    names.add(str(policy["name"]))
    return Brought(rule=rule, fate=fate, kind=kind, reason=reason, policy=policy, sentence=sentence, notes=notes)


def _length(text: str) -> timedelta:
    if text in ("0s", "0", "0m"):
        return timedelta(0)
    try:
        found = promql_parser.parse_duration(text)
    except ValueError as error:
        raise ValueError(f"`{text[:40]}` is no duration") from error
    if found.microseconds or found > durations.LONGEST:
        raise ValueError(f"`{text[:40]}` is not a whole number of seconds up to 30 days")
    return found


def _free_name(rule: Found, names: set[str]) -> str:
    """HighCPU becomes high-cpu; a second one takes its severity or a number along."""
    base = _NO_NAME.sub("-", _HUMP.sub("-", rule.alert).lower()).strip("-")[:80].strip("-") or "rule"
    severity = _NO_NAME.sub("-", rule.labels.get("severity", "").lower()).strip("-")[:15]
    with_severity = [f"{base}-{severity}"] if severity else []
    candidates = [base, *with_severity, *(f"{base}-{number}" for number in range(2, len(names) + 3))]
    return next(name for name in candidates if name not in names and name not in documents.RESERVED)


def _description(rule: Found) -> str:
    """What the rule says to people, its templates unfilled."""
    said = [rule.annotations.get(key, "") for key in ("summary", "description", "message")]
    text = "\n".join(dict.fromkeys(" ".join(one.split()) for one in said if one.strip()))
    clean = "".join(character for character in text if character.isprintable() or character == "\n")
    return clean[:_LONGEST_DESCRIPTION]


def _severity(label: str) -> str:
    word = label.strip().lower()
    return next((severity for severity, words in _SEVERITIES.items() if word in words), "warning")


def _lines(one: Brought) -> list[str]:
    if one.fate == "translated":
        return [f"translated  {one.name}: {one.sentence}", *(f"            note: {note}" for note in one.notes)]
    return [f"{one.fate:10}  {one.name or one.rule.alert}: {one.reason}"]


def _as_json(one: Brought) -> dict[str, object]:
    return {
        "alert": one.rule.alert,
        "place": one.rule.place,
        "fate": one.fate,
        "policy": one.name or None,
        "sentence": one.sentence or None,
        "kind": one.kind or None,
        "reason": one.reason or None,
        "notes": list(one.notes),
    }
