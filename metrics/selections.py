"""Some of all targets, as a condition that an index serves: by name, and by how their names begin."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vigil.kernel.database import begins_with, one_of

MOST_BEGINNINGS = 32
"""Each is a search of its own for the database; more than that are shortened until they come to fewer."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Targets with one of these names, and those that begin with one of these. It may hold more than are meant."""

    names: frozenset[str] = frozenset()
    beginnings: frozenset[str] = frozenset()
    """The empty one is every target's."""

    def holds(self, target: str) -> bool:
        """What the condition says, here."""
        return target in self.names or target.startswith(tuple(self.beginnings))


EVERYTHING = Selection(beginnings=frozenset({""}))


def together(many: Iterable[Selection]) -> Selection:
    """All that any of them holds, and perhaps more."""
    names: set[str] = set()
    beginnings: set[str] = set()
    for one in many:
        names |= one.names
        beginnings |= one.beginnings
    fewest = tuple(_shortened(_outermost(beginnings)))
    return Selection(
        names=frozenset(name for name in names if not name.startswith(fewest)), beginnings=frozenset(fewest)
    )


def is_some(names: Collection[str], among: Mapping[str, Selection]) -> bool:
    """Whether of each of these metrics some targets are meant, not all."""
    return all(among.get(name, EVERYTHING) != EVERYTHING for name in names)


def condition(names: Collection[str], among: Mapping[str, Selection]) -> tuple[str, list[Any]]:
    """On the columns `name` and `target`, with its parameters: these metrics, each `among` its targets or all."""
    alike: dict[Selection, list[str]] = defaultdict(list)
    for name in names:
        alike[among.get(name, EVERYTHING)].append(name)
    arms = [arm for selection, metrics in alike.items() for arm in _arms(metrics, selection)]
    parameters = [parameter for _, of_arm in arms for parameter in of_arm]
    if len(arms) == 1:
        return arms[0][0], parameters
    return f"({' OR '.join(f'({where})' for where, _ in arms) or 'FALSE'})", parameters


def _arms(names: Collection[str], selection: Selection) -> Iterator[tuple[str, list[Any]]]:
    """Each names the metrics again: SQLite finds nothing by a target alone."""
    of_these, metrics = one_of("name", names)
    if selection == EVERYTHING:
        yield of_these, [metrics]
        return
    if selection.names:
        named, targets = one_of("target", selection.names)
        yield f"{of_these} AND {named}", [metrics, targets]
    for beginning in sorted(selection.beginnings):
        beginning_so, bounds = begins_with("target", beginning)
        yield f"{of_these} AND {beginning_so}", [metrics, *bounds]


def _outermost(beginnings: Iterable[str]) -> list[str]:
    """Without those that begin with another of them."""
    found: list[str] = []
    for beginning in sorted(beginnings):
        if not found or not beginning.startswith(found[-1]):
            found.append(beginning)
    return found


def _shortened(beginnings: list[str]) -> list[str]:
    while len(beginnings) > MOST_BEGINNINGS:
        longest = max(map(len, beginnings))
        beginnings = _outermost(one[: longest - 1] for one in beginnings)
    return beginnings
