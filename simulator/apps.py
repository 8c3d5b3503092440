from django.apps import AppConfig


class SimulatorConfig(AppConfig):
    """REHEARSE: a fake fleet that stands outside Vigil, as real agents and remediators do."""

    name = "simulator"
    verbose_name = "Simulator"
