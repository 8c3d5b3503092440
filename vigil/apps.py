from django.apps import AppConfig


class VigilConfig(AppConfig):
    name = "vigil"
    verbose_name = "Vigil"
