"""Numbers as text: exact ones for sentences, readable ones for reasons."""

import math

_WHOLE_BELOW = 1e15
_FEWEST_DIGITS, _MOST_DIGITS = 6, 17


def exact(value: float) -> str:
    """The shortest text that reads back as the same number: 90.0 is `90`."""
    if value == int(value) and abs(value) < _WHOLE_BELOW:
        return str(int(value))
    return repr(float(value))


def plain(value: float) -> float:
    """For JSON: a whole number is written without `.0`, as people write it."""
    return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value


def shown(value: float, *against: float) -> str:
    """A short text for a reason that still stands in the same order to the numbers it is compared with."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < _WHOLE_BELOW:
        return exact(value)
    for digits in range(_fewest_digits(value), _MOST_DIGITS):
        text = f"{value:.{digits}g}"
        if all(_order(float(text), other) == _order(value, other) for other in against):
            return text
    return exact(value)


def _fewest_digits(value: float) -> int:
    """Two places behind the point even for a large number, so that 1234567.8 does not become 1.23457e+06."""
    before_point = len(str(int(abs(value)))) if abs(value) < _WHOLE_BELOW else 1
    return max(_FEWEST_DIGITS, before_point + 2)


def _order(left: float, right: float) -> int:
    return (left > right) - (left < right)
