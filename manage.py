#!/usr/bin/env python
"""Vigil's command line."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vigil.settings")
    try:
        _ = settings.INSTALLED_APPS  # read now: a wrong setting is one sentence, not a traceback
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"vigil: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell calls it; where it was at the moment helps nobody
