from django.apps import AppConfig

from vigil.telemetry import tasks_story


class TelemetryConfig(AppConfig):
    name = "vigil.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        tasks_story.connect()
