"""The app that senses: it stores readings and reads them back, and knows nothing of policies."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class MetricsConfig(AppConfig):
    """Registers what a scrape reads from the database."""

    name = "metrics"
    verbose_name = "Metrics"

    def ready(self) -> None:
        """The collectors read models, so they can only be imported once every app is loaded."""
        import_string("metrics.collectors.register")()
