"""DECIDE: the app that judges readings and orders remedies."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string


class PoliciesConfig(AppConfig):
    """Registers what other parts look up by name once every model is loaded."""

    name = "policies"
    verbose_name = "Policies"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect receivers, checks, health reports and gauges; each module can only be imported once models exist."""
        for path in ("receivers.connect", "checks.register", "vitals.register"):
            import_string(f"policies.{path}")()
        post_migrate.connect(import_string("policies.defaults.after_migrate"), sender=self)
