"""Runs the core tests against the one module that differs from the commit, until a test fails.

``python -m tests.mutants.noticed`` in the changed tree. Exit code 0 if every test passed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import PurePosixPath

TESTS = {
    "_http": ["tests/unit/http", "tests/conformance"],
    "_lifespan": ["tests/unit/lifespan"],
    "_threads": ["tests/unit/threads", "tests/sync"],
    "asgi_to_wsgi": ["tests/unit/asgi_to_wsgi", "tests/conformance"],
    "router": ["tests/unit/router"],
    "sync": ["tests/unit/sync", "tests/sync"],
    "wsgi_to_asgi": ["tests/unit/wsgi_to_asgi", "tests/conformance"],
}
"""Package of ``bridge``: the folders whose tests run first."""
ALL = ["tests/unit", "tests/test_public_api.py", "tests/sync", "tests/conformance"]
ALL += ["tests/test_cost.py"]  # notices what only costs more
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
PYTEST += ["-m", "not full and not browser"]


def main() -> int:
    """:returns: the exit code of the first run of pytest that fails, or 0."""
    diff = ["git", "diff", "--name-only"]
    changed = subprocess.run(diff, capture_output=True, text=True, check=True).stdout.split()
    packages = {PurePosixPath(path).parts[1] for path in changed}
    first = [folder for package in packages for folder in TESTS[package]]
    rest = [folder for folder in ALL if folder not in first]
    return subprocess.call([*PYTEST, *first]) or subprocess.call([*PYTEST, *rest])


if __name__ == "__main__":
    sys.exit(main())
