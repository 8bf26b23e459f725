"""Every rule over the installed Django and REST framework: no crash, and no false error.

The installed versions vary, so only errors are compared with a list. ``nox -s migrate_trees``
compares all findings, over pinned versions of these and other packages.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from bridge.migrate.findings import Severity, Target
from tests.migrate.trees import GOLDEN, found_in, shown

REVIEWED: set[str] = set()
"""Correct errors in these two packages. There are none: both run under ASGI unchanged."""


@pytest.mark.parametrize(
    ("package", "target"),
    [
        ("django", Target.NATIVE),
        ("rest_framework", Target.NATIVE),
        ("rest_framework", Target.BRIDGE),
    ],
)
def test_the_packages_have_no_errors(package: str, target: Target) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    tree = Path(spec.origin).resolve().parent
    files, found = found_in(tree, target)
    severe = [each for each in found if (each.severity(target) or 0) >= Severity.ERROR]

    assert files > 50
    assert {shown(tree, each) for each in severe} <= REVIEWED


def test_the_reviewed_findings_have_no_error_in_a_library() -> None:
    """Only project templates have errors: they start gunicorn."""
    lines = GOLDEN.read_text("utf-8").splitlines()
    findings = [line.split() for line in lines if not line.startswith("#")]
    severe = [fields for fields in findings if set(fields[1]) & {"E", "C"}]

    assert all("/project_template/" in fields[2] for fields in severe), severe
