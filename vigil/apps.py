from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate

from vigil.kernel import migrating


class VigilConfig(AppConfig):
    name = "vigil"
    verbose_name = "Vigil"

    def ready(self) -> None:
        """A large table's migration takes longer than a request may."""
        pre_migrate.connect(migrating.begun)
        post_migrate.connect(migrating.ended)
