from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.module_loading import import_string


class ConsoleConfig(AppConfig):
    name = "vigil.console"
    label = "console"
    verbose_name = "Console"
    default = True


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin; its default site becomes the console."""

    default = False
    default_site = "vigil.console.site.ConsoleSite"

    def ready(self) -> None:
        """Every app registers its pages; then those that came with libraries get the console's look and doors."""
        super().ready()
        import_string("vigil.console.borrowed.adopt")()
