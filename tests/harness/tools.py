"""Programs that tests need beside Python: without them a test is skipped, and in CI it fails.

What enters: the name of a program and what was found of it. What leaves: a path, or the end of the
test with a line that says what to install.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str, *, package: str, variable: str = "") -> Path:
    """The program called ``name``, from ``PATH``.

    :param package: the Debian package that has it.
    :param variable: an environment variable that may name another one.
    """
    found = os.environ.get(variable) or shutil.which(name)
    return Path(found) if found else missing(name, package)


def missing(name: str, package: str) -> NoReturn:
    """End the test for want of a program: skipped at a desk, failed where ``CI`` is set."""
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so nothing is skipped for a missing tool)")
    pytest.skip(reason)
