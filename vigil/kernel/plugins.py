"""Plug-ins are named from above by dotted path, so that lower parts never import upper ones."""

from functools import cache
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured


@cache
def load(dotted: str) -> object:
    """The object at `package.module.name`; ImproperlyConfigured says which part is missing."""
    module_path, _, name = dotted.rpartition(".")
    if not module_path:
        raise ImproperlyConfigured(f"{dotted!r} is not a dotted path such as package.module.name.")
    try:
        module = import_module(module_path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{dotted!r} cannot be imported: {error}.") from error
    try:
        found: object = getattr(module, name)
    except AttributeError as error:
        raise ImproperlyConfigured(f"{module_path!r} has no {name!r}.") from error
    return found
