"""The commands ``bridge`` and ``wsgi-asgi-bridge``, which are the same program.

The second name is one that nothing else has: iproute2 installs ``/sbin/bridge``, and PyPI's
python-bridge a command and a package ``bridge``. This module is outside the package, so it still
runs, and reports the cause, if that other package has overwritten this one's files. It imports the
package only when a command needs it: ``--version`` does not.
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
    command = Path(sys.argv[0]).stem
    spec = find_spec("bridge")  # imports nothing
    folders = [Path(each) for each in spec.submodule_search_locations or ()] if spec else []
    folder = next((each for each in folders if (each / "_installation.py").exists()), None)
    if folder is None:
        found = ", ".join(map(str, folders)) or "no folder"
        return _fail(
            f"the package 'bridge' that Python finds ({found}) is another one: run this command "
            "from another folder, or uninstall that package"
        )
    try:
        runpy.run_path(str(folder / "_installation.py"))["check_init"]()
    except ImportError as error:
        return _fail(str(error))
    if sys.argv[1:] == ["--version"]:
        print(runpy.run_path(str(folder / "_version.py"))["version_line"]())
        return 0
    from bridge.cli.__main__ import main as run

    return run(command)


def _fail(reason: str) -> int:
    print(f"{Path(sys.argv[0]).stem}: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
