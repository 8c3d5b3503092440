from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

GUARD = "audit.guard"


class AuditConfig(AppConfig):
    name = "vigil.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """The guard names the model, which can only be imported once every app is loaded."""
        receiver = import_string("vigil.audit.guard.after_migrate")
        post_migrate.connect(receiver, sender=self, dispatch_uid=GUARD)
