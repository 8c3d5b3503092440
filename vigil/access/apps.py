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
        for signal, receiver in (
            ("django.contrib.auth.signals.user_logged_in", "signed_in"),
            ("django.contrib.auth.signals.user_logged_out", "signed_out"),
            ("axes.signals.user_locked_out", "locked_out"),
        ):
            import_string(signal).connect(import_string(f"vigil.access.signing_in.{receiver}"))
