"""What the API answers about tests of policies."""

from policies.api.answers.policies import Warned
from vigil.http.answers import Answer


class TestDifference(Answer, frozen=True, kw_only=True):
    """What a test expected and did not get."""

    at: str
    about: str
    expected: object
    got: object
    reason: str


class TestOutcome(Answer, frozen=True, kw_only=True):
    """How one test went."""

    name: str
    ok: bool
    differences: list[TestDifference]


class TestWarned(Warned, frozen=True, kw_only=True):
    """Two of the policies that can fight."""

    policy: str


class TestReport(Answer, frozen=True, kw_only=True):
    """How the tests went."""

    ok: bool
    tests: list[TestOutcome]
    warnings: list[TestWarned]
