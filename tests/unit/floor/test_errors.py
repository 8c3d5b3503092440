"""How a refusal sums up what is wrong."""

import pytest

from vigil.kernel.errors import FieldError, summary

ONE = FieldError(path="name", message="is required")
TOLD = FieldError(path="", message="Send a text.")
ASKED = FieldError(path="type", message="did you mean `any`?")


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([ONE], "name: is required."),
        ([TOLD], "Send a text."),
        ([ASKED], "type: did you mean `any`?"),
        ([ONE, TOLD], "name: is required (and 1 more)."),
        ([ASKED, ONE, TOLD], "type: did you mean `any`? (and 2 more)."),
    ],
)
def test_the_first_is_told_and_the_others_counted(errors: list[FieldError], said: str) -> None:
    assert summary(errors) == said
