#!/usr/bin/env python
"""Vigil's command line."""

import os
import signal
import sys


def main() -> None:
    """Carry the command out; a wrong setting is one sentence, not a traceback."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vigil.settings")
    try:
        _ = settings.INSTALLED_APPS  # read now, before anything is begun
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"vigil: {error}")


if __name__ == "__main__":
    try:
        # `up --demo` starts itself over with Ctrl-C held back, so that none falls between the two lives.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell calls it; where it was at the moment helps nobody
