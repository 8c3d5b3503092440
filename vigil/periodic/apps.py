from django.apps import AppConfig
from django.utils.module_loading import import_string


class PeriodicConfig(AppConfig):
    name = "vigil.periodic"
    label = "periodic"
    verbose_name = "Periodic work"

    def ready(self) -> None:
        """These read models, so they can only be imported once every app is loaded."""
        import_string("vigil.periodic.gauges.register")()
        import_string("vigil.periodic.worker_lines.connect")()
        import_string("vigil.periodic.worker_signs.connect")()
        import_string("vigil.periodic.worker_watch.connect")()
