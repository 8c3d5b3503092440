from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string


class AccessConfig(AppConfig):
    name = "vigil.access"
    label = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        """The roles are rows, so their module can only be imported once every app is loaded."""
        post_migrate.connect(import_string("vigil.access.roles.after_migrate"), sender=self)
