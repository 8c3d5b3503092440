"""Which target a reading is about."""

from collections.abc import Mapping

from django.conf import settings

DEFAULT = "default"


def target_of(tags: Mapping[str, str]) -> str:
    """The value of the first tag in VIGIL_TARGET_TAGS that `tags` has, else `default`."""
    for key in settings.VIGIL_TARGET_TAGS:
        value = tags.get(key)
        if value:
            return value
    return DEFAULT
