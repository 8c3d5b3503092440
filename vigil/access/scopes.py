"""What a caller may do, in eight words; roles are Django groups that stand for some of them."""

from collections.abc import Iterable

from vigil.kernel.errors import FieldError, Invalid

INGEST = "ingest"
READ = "read"
ACTIONS_WRITE = "actions:write"
ACTIONS_APPROVE = "actions:approve"
POLICIES_WRITE = "policies:write"
REMEDIATOR = "remediator"
CONTROL = "control"
SIMULATOR = "simulator"

ALL = frozenset({INGEST, READ, ACTIONS_WRITE, ACTIONS_APPROVE, POLICIES_WRITE, REMEDIATOR, CONTROL, SIMULATOR})

EITHER_WORD = f"{ACTIONS_WRITE}|{ACTIONS_APPROVE}"
"""One of the two is enough to knock; which of them counts depends on what waits."""

BEYOND_TARGETS = frozenset({POLICIES_WRITE, CONTROL, SIMULATOR})
"""What these allow reaches every target: a key that is bound to some may not use them."""

OF_GROUP = {
    "viewer": frozenset({READ}),
    "operator": frozenset({READ, ACTIONS_WRITE, CONTROL, SIMULATOR}),
    "editor": frozenset({READ, POLICIES_WRITE}),
    "approver": frozenset({READ, ACTIONS_APPROVE}),
    "admin": ALL,
}


def of_groups(groups: Iterable[str]) -> frozenset[str]:
    """Everything that membership in these groups allows."""
    return frozenset().union(*(OF_GROUP.get(name, frozenset()) for name in groups))


def held(required: str, scopes: frozenset[str]) -> bool:
    """Whether the scopes have what is required: one scope, or one of several with `|` between them."""
    return any(one in scopes for one in required.split("|"))


def check(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes as a set; Invalid names what is unknown and what there is."""
    wanted = frozenset(scopes)
    unknown = sorted(wanted - ALL)
    if unknown or not wanted:
        said = f"{', '.join(unknown)} is no scope" if unknown else "at least one scope is needed"
        message = f"{said}; there are {', '.join(sorted(ALL))}."
        raise Invalid(message[0].upper() + message[1:], errors=[FieldError(path="scopes", message=message)])
    return wanted
