"""The entry point of ``bridge``, which reports a missing extra. Exits with the command's code."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = frozenset({"click", "rich"})


def main(command: str = "bridge") -> int:
    """Run the command line.

    :param command: the name it was started by, for its help.
    :returns: 2 if the extra ``[cli]`` is not installed; otherwise click exits the process.
    """
    try:
        import rich  # noqa: F401  # the commands import it late

        from bridge.cli.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(
            f'{command}: the command line needs {error.name}: pip install "wsgi-asgi-bridge[cli]"',
            file=sys.stderr,
        )
        return 2
    app(prog_name=command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
