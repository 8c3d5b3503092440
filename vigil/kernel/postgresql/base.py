"""The engine that `vigil.environment` names."""

from django.db.backends.postgresql import base

from vigil.kernel.postgresql import driver


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, on connections that give up."""

    Database = driver
