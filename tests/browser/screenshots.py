"""Takes every page of the console in light and dark, wide and narrow.

`python -m tests.browser.screenshots DIRECTORY [NAME]`: all, or those whose name holds NAME. With a
FILE.png instead: the README's picture of the front page.

It runs a console of its own on a database of its own, with the scene that `tests.browser.scene` builds.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main(directory: Path, only: str = "") -> int:
    """Take all, or those whose name holds `only`; the exit code says whether any page scrolls sideways."""
    with tempfile.TemporaryDirectory(prefix="vigil-shots-") as data:
        os.environ |= {
            "VIGIL_ENV_FILE": os.devnull,
            "VIGIL_DATA_DIR": data,
            "VIGIL_DEMO": "1",
            "VIGIL_LOG_LEVEL": "CRITICAL",
            "DJANGO_SETTINGS_MODULE": "vigil.settings",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
        }
        os.environ.pop("DATABASE_URL", None)
        import django

        django.setup()
        from tests.browser import shooting

        if directory.suffix == ".png":
            shooting.portrait(directory)
            return 0
        directory.mkdir(parents=True, exist_ok=True)
        faults = shooting.take(directory, only)
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the pictures go, or the one FILE.png")
    parser.add_argument("only", nargs="?", default="", help="only pages whose name holds this")
    given = parser.parse_args()
    sys.exit(main(given.directory, given.only))
