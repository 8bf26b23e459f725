"""The command ``wsgi-asgi-bridge``: the command ``bridge`` under a name that nothing else has.

iproute2 installs ``/sbin/bridge``, and PyPI's python-bridge a command and a package ``bridge``.
This module is outside the package, so it still runs, and reports the cause, if that other package
has overwritten this one's files.
"""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["main"]


def main() -> int:
    """Run the command line, unless the package `bridge` is another's.

    :returns: the exit code: 2 if it is.
    """
    spec = find_spec("bridge")  # imports nothing
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        check = Path(folder, "_installation.py")
        if check.exists():
            try:
                runpy.run_path(str(check))["check_init"]()
            except ImportError as error:
                print(f"wsgi-asgi-bridge: {error}", file=sys.stderr)
                return 2
            from bridge.cli.__main__ import main as run

            return run("wsgi-asgi-bridge")
    found = ", ".join(folders) or "no folder"
    print(
        f"wsgi-asgi-bridge: the package 'bridge' that Python finds ({found}) is another one: run "
        "this command from another folder, or uninstall that package",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
