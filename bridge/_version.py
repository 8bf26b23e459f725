"""The version. Imports only ``sys``: the command line runs this file alone."""

import sys

__all__ = ["__version__", "version_line"]

__version__ = "0.1.0"


def version_line() -> str:
    """What ``--version`` prints."""
    return f"bridge {__version__} (Python {sys.version.split()[0]})"
