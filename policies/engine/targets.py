"""Which targets a policy is about: a glob such as `web-*`; `all` is another word for `*`."""

from policies.engine import globs

EVERYTHING = ("*", "all")
_REGEX_ONLY = frozenset("^$()[]{}|\\+")


class UnusablePattern(ValueError):
    """The target pattern cannot be meant as it stands; the message says what to write instead."""


def matches(pattern: str, target: str) -> bool:
    """Whether the target is one the pattern means."""
    return pattern in EVERYTHING or globs.matches(pattern, target)


def beginning(pattern: str) -> str:
    """What every target that the pattern means begins with: the pattern itself when it is a name."""
    return "" if pattern in EVERYTHING else pattern.partition("*")[0].partition("?")[0]


def check(pattern: object) -> None:
    """Raise UnusablePattern unless this is a glob a person can have meant."""
    if not isinstance(pattern, str) or not pattern.strip():
        raise UnusablePattern("name a target, a pattern such as `web-*`, or `*` for every target")
    problem = _problem(pattern)
    if problem is not None:
        raise UnusablePattern(problem)


def _problem(pattern: str) -> str | None:
    if pattern in EVERYTHING:
        return None
    if pattern != pattern.strip():
        return "a pattern does not begin or end with a space"
    if _looks_like_regex(pattern):
        return f"`{pattern[:40]}` looks like a regular expression; a target pattern has only `*` and `?`: `web-*`"
    if not set(pattern) - {"*", "?"}:
        return f"`{pattern[:40]}` names nothing; write `*` for every target"
    return globs.problem(pattern)


def _looks_like_regex(pattern: str) -> bool:
    """`db.*` may well be a glob; `.*`, `-.*` and brackets may not."""
    if _REGEX_ONLY & set(pattern):
        return True
    at = pattern.find(".*")
    return at == 0 or (at > 0 and not pattern[at - 1].isalnum() and pattern[at - 1] != "*")
