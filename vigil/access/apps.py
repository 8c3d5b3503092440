from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save
from django.utils.module_loading import import_string


class AccessConfig(AppConfig):
    name = "vigil.access"
    label = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        """Roles and people are rows, so their modules can only be imported once every app is loaded."""
        post_migrate.connect(import_string("vigil.access.roles.after_migrate"), sender=self)
        post_save.connect(import_string("vigil.access.people.saved"), sender="auth.User")
