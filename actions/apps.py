"""ACT: the app that orders, runs and settles actions."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string


class ActionsConfig(AppConfig):
    """Connects what other parts look up by name, once every model is loaded."""

    name = "actions"
    verbose_name = "Actions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect checks, reports, gauges and receivers; their modules can only be imported once models exist."""
        import_string("actions.wiring.connect")()
        post_migrate.connect(import_string("actions.defaults.after_migrate"), sender=self)
