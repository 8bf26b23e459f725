"""Every rule over the installed Django and REST framework: no crash, and no false error.

The versions are whatever is installed, so only what is severe is held to a list. All findings, over
pinned versions of these and other packages, are held by ``nox -s migrate_trees``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from bridge.migrate.findings import Severity, Target
from tests.migrate.trees import GOLDEN, found_in, shown

REVIEWED: set[str] = set()
"""Errors in these two that are right. There are none: they run under ASGI as they are."""


@pytest.mark.parametrize(
    ("package", "target"),
    [
        ("django", Target.NATIVE),
        ("rest_framework", Target.NATIVE),
        ("rest_framework", Target.BRIDGE),
    ],
)
def test_there_is_no_error_in_them(package: str, target: Target) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    tree = Path(spec.origin).resolve().parent
    files, found = found_in(tree, target)
    severe = [each for each in found if (each.severity(target) or 0) >= Severity.ERROR]

    assert files > 50
    assert {shown(tree, each) for each in severe} <= REVIEWED


def test_the_reviewed_findings_have_no_error_in_a_library() -> None:
    """Only project templates have one: they are started by gunicorn."""
    lines = GOLDEN.read_text("utf-8").splitlines()
    found = [line.split() for line in lines if not line.startswith("#")]
    severe = [words for words in found if set(words[1]) & {"E", "C"}]

    assert all("/project_template/" in words[2] for words in severe), severe
