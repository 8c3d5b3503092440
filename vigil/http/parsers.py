"""The API's only body format: JSON in UTF-8."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from vigil.http import strict_json


class StrictJSONParser(BaseParser):
    """Decodes through `strict_json`; another charset is another format, and not accepted."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        check_charset(media_type or self.media_type)
        return strict_json.decode(stream.read())


def check_charset(content_type: str) -> None:
    """UnsupportedMediaType (415) for any charset but UTF-8."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType(content_type, detail=f"Send UTF-8 (the body says charset={value}).")
