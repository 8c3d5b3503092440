from django.apps import AppConfig
from django.utils.module_loading import import_string


class HealthConfig(AppConfig):
    name = "vigil.health"
    label = "health"

    def ready(self) -> None:
        """The checks read models, so they can only be imported once every app is loaded."""
        import_string("vigil.health.builtin.register")()
