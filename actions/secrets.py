"""Secrets at rest: encrypted with keys from VIGIL_SECRETS_KEYS, or else with one derived from SECRET_KEY."""

import base64
from collections.abc import Sequence
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression

from vigil.kernel.errors import VigilError

_PURPOSE = b"vigil.actions.secrets.v1"


class UnableToDecrypt(VigilError):
    """A stored secret belongs to a key that is not among the present ones."""

    code = "secret_unreadable"
    status = 500


def encrypt(plain: str) -> str:
    """The text as it may be stored; the first key is used. "" stays ""."""
    return _box().encrypt(plain.encode()).decode() if plain else ""


def decrypt(stored: str) -> str:
    """The text again; UnableToDecrypt when no key fits."""
    if not stored:
        return ""
    try:
        return _box().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise UnableToDecrypt(
            "A stored secret cannot be read with the present keys: put the former key behind the new one in "
            "VIGIL_SECRETS_KEYS (or the former SECRET_KEY into SECRET_KEY_FALLBACKS), or enter the secret again."
        ) from error


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # generic to the type checker only
    """Text that is plain in memory and encrypted in the database; it cannot be searched for."""

    def deconstruct(self) -> tuple[str, str, list[object], dict[str, object]]:
        """To migrations it is a text like any other, so that they import nothing of ours."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", list(args), dict(kwargs)

    def get_prep_value(self, value: object) -> str:
        return encrypt(str(value or ""))

    def from_db_value(self, value: str | None, expression: Expression | None, connection: BaseDatabaseWrapper) -> str:
        return decrypt(value or "")


def _box() -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in _keys()])


def _keys() -> Sequence[str]:
    given: list[str] = list(settings.VIGIL_SECRETS_KEYS)
    # SECRET_KEY stays behind explicit keys, so that setting them later does not lock out what is stored.
    return [*given, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


@cache  # a key is derived once: that takes longer than to decrypt
def _derived(key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
