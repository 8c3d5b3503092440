"""Policies as files: strict YAML in, readable YAML out. An import is all or nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import yaml

from policies import authoring, conflicts, documents
from policies.authoring import Saved
from policies.conflicts import Clash
from policies.documents import Draft, UnableToReadPolicy
from policies.engine import modes
from policies.models import Policy
from vigil.kernel.database import tx
from vigil.kernel.errors import FieldError

FILE_MAX_BYTES = 1_048_576

type Change = Literal["create", "update", "unchanged"]


class UnableToImport(UnableToReadPolicy):
    """Nothing was imported; each error names the policy and the place."""

    code = "invalid_policy_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became, or would become, of one policy of a file."""

    name: str
    change: Change
    clashes: tuple[Clash, ...] = ()
    """What it could fight with, where that is foreseen."""


def plan(*, content: bytes) -> list[Imported]:
    """What importing the file would do, and what its policies could fight with then; nothing is written."""
    drafts = _drafts(content)
    clashes = conflicts.foreseen(drafts)
    return [
        Imported(name=draft.name, change=_change(draft), clashes=tuple(clashes.get(draft.name, ()))) for draft in drafts
    ]


def load(*, content: bytes, actor: str, at: datetime, note: str = "") -> list[Imported]:
    """Create or update every policy of the file, or none: UnableToImport names all that is wrong."""
    drafts = _drafts(content)
    return tx(lambda: [_imported(authoring.save(draft, actor=actor, at=at, note=note)) for draft in drafts])


def dump(*, names: Sequence[str] = ()) -> str:
    """The policies as a YAML file that `load` takes back; all of them without `names`."""
    wanted = [authoring.get(name) for name in names] or list(_everything())
    return written_out([_ordered(authoring.written(policy)) for policy in wanted])


def written_out(policies: Sequence[documents.Json]) -> str:
    """These policies, in the shape people write, as a YAML file that `load` takes back."""
    document = {"policies": list(policies)}
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def _drafts(content: bytes) -> list[Draft]:
    drafts: list[Draft] = []
    errors: list[FieldError] = []
    for index, raw in enumerate(documents_of(content)):
        try:
            drafts.append(authoring.check(raw))
        except UnableToReadPolicy as error:
            label = _label(raw, index)
            found = error.errors or (FieldError(path="", message=error.detail),)
            errors += [FieldError(path=f"{label}: {one.path}".rstrip(": "), message=one.message) for one in found]
    names = [draft.name for draft in drafts]
    twice = sorted({name for name in names if names.count(name) > 1})
    errors += [FieldError(path=name, message="This policy stands in the file twice.") for name in twice]
    if errors:
        count = f"{len(errors)} error{'s' if len(errors) > 1 else ''}"
        raise UnableToImport(f"Nothing was imported: {count} in the file.", errors=errors)
    return drafts


def _label(raw: object, index: int) -> str:
    name = raw.get("name") if isinstance(raw, dict) else None
    return name if isinstance(name, str) and name else f"policies[{index}]"


def documents_of(content: bytes) -> list[object]:
    """The policies of a file as they are written, unchecked; UnableToImport when it holds none."""
    found = parse(content)
    if isinstance(found, dict) and set(found) == {"policies"}:
        found = found["policies"]
    if not isinstance(found, list) or not found:
        raise UnableToImport("The file holds no policies: write a list of them below `policies:`.")
    return found


def parse(content: bytes) -> object:
    """What the strict YAML of a file says; UnableToImport names line and column."""
    if len(content) > FILE_MAX_BYTES:
        raise UnableToImport(f"The file is larger than {FILE_MAX_BYTES:,} bytes.")
    try:
        parsed: object = yaml.load(content.decode("utf-8"), Loader=_StrictLoader)  # noqa: S506  a SafeLoader, stricter
    except UnicodeDecodeError as error:
        raise UnableToImport(f"The file is not UTF-8 (at byte {error.start}).") from error
    except RecursionError as error:
        raise UnableToImport("The file is nested too deeply.") from error
    except yaml.YAMLError as error:
        raise UnableToImport(f"The file is not YAML as Vigil reads it: {_where(error)}") from error
    return parsed


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})." if mark is not None else f"{problem}."


def _change(draft: Draft) -> Change:
    standing = Policy.objects.select_related("current").filter(name=draft.name).first()
    if standing is None:
        return "create"
    same = authoring.current(standing).document == documents.stored(draft.document)
    return "unchanged" if same and standing.enabled == draft.enabled else "update"


def _imported(saved: Saved) -> Imported:
    change: Change = "create" if saved.created else "update" if saved.changed else "unchanged"
    return Imported(name=saved.policy.name, change=change)


def _everything() -> Any:
    return Policy.objects.filter(current__isnull=False).select_related("current", "health", "demotion").order_by("name")


def _ordered(written: documents.Json) -> documents.Json:
    """Fields in the order people think of them; of `mode` and `auto_remediate`, the one that says it all."""
    superfluous = "auto_remediate" if modes.asks(str(written["mode"])) else "mode"
    return {field: written[field] for field in documents.FIELDS if field in written and field != superfluous}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


class _StrictLoader(yaml.SafeLoader):
    """YAML without the parts that surprise: no aliases, anchors, tags, merges, double keys, or words for booleans."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refusal("aliases and anchors are not accepted; write it out", event)
        if getattr(event, "tag", None):
            raise _refusal("tags are not accepted", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _refusal("a key is a plain word", key)
            if key.value == "<<" or key.value in seen:
                what = "merging is not accepted; write it out" if key.value == "<<" else f"`{key.value}` stands twice"
                raise _refusal(what, key)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _refusal(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
