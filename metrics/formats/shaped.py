"""JSON of foreign protocols, as the structs that their decoders declare."""

import msgspec

from metrics.formats import documents
from metrics.formats.reading import Unreadable
from vigil.kernel.errors import FieldError


def read[T](body: bytes, shape: type[T], *, what: str, most: int) -> T:
    """The document in `body`; `what` names it in refusals, `most` bounds the objects in it.

    Raises Unreadable: 400 for what is not JSON or not of that shape, 413 for too many objects.
    """
    documents.refuse_depth(body)
    if body.count(b"{") > most:
        raise Unreadable(f"The body holds more than {most} objects; send less at once.", code="too_many", status=413)
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Unreadable(f"The body is JSON, but not {what}: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(f"The body is not JSON in UTF-8; send {what}.") from None


def fit[T](item: object, shape: type[T], *, what: str) -> T | FieldError:
    """One item of a document as `shape`, or what keeps it from being one."""
    try:
        return msgspec.convert(item, shape)
    except (msgspec.ValidationError, OverflowError) as error:
        return FieldError(path="", message=f"is not {what}: {error}")
