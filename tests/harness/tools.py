"""External programs that tests need. Without them a test is skipped, or fails in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def find_program(name: str, *, package: str, variable: str = "") -> Path:
    """Find the program ``name`` on ``PATH``, or in the folder where Debian has servers.

    Skips or fails the test if it is not installed.

    :param package: the Debian package that contains it.
    :param variable: an environment variable that may hold the path of another program.
    """
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"  # which only root has on PATH
    found = os.environ.get(variable) or shutil.which(name, path=path)
    return Path(found) if found else skip_without(name, package)


def skip_without(name: str, package: str) -> NoReturn:
    """Skip the test because a program is not installed; fail it if ``CI`` is set."""
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set: nothing is skipped for a missing program)")
    pytest.skip(reason)
