"""The folder in which the workers of ``bridge run --metrics`` share their numbers.

Made before the server starts, and removed at the end of the master of its workers.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import partial

from bridge.cli.options import RunOptions

__all__ = ["remove_folder_at_exit", "share_folder"]

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_OWN_FOLDER = "BRIDGE_METRICS_FOLDER"
"""Set to the folder if ``bridge run`` has made it."""


def share_folder(options: RunOptions) -> None:
    """Make the folder for prometheus-client's multiprocess mode, if there are several workers.

    One that the environment names is used as it is, and stays.
    """
    if options.workers > 1 and not os.environ.get(_VARIABLE):
        folder = tempfile.mkdtemp(prefix="bridge-metrics-")
        os.environ[_VARIABLE] = os.environ[_OWN_FOLDER] = folder


def remove_folder_at_exit() -> None:
    """Remove the folder, if there is one, at the end of this process."""
    folder = os.environ.get(_OWN_FOLDER)
    if folder is not None:
        atexit.register(partial(_remove, os.getpid(), folder))


def _remove(pid: int, folder: str) -> None:
    if os.getpid() == pid:  # not in a forked worker
        shutil.rmtree(folder, ignore_errors=True)
