"""E109: a Python or Django that bridge does not support."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts
from tests.migrate.helpers import check_noop, findings, fixed
from tests.migrate.sites import DJANGO

CODE = "E109"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (Facts(python="3.10.13", django="5.2"), "Python 3.10.13, and bridge needs 3.11 or newer"),
        (Facts(python="3.8.18", django="4.2"), "Python 3.8.18"),
        (Facts(python="3.11.7", django="3.2.25"), "Django 3.2.25, and bridge needs 4.2 or newer"),
    ],
)
def test_a_version_that_is_too_old_is_an_error_of_the_target_bridge(
    facts: Facts, message: str
) -> None:
    [found] = findings(DJANGO, CODE, target="bridge", facts=facts)

    assert message in found.message
    assert found.native is None
    assert findings(DJANGO, CODE, target="bridge", facts=facts)[0].fix is None


@pytest.mark.parametrize("python", ["3.11.0", "3.12.1", "3.14.0"])
def test_supported_versions_are_ignored(python: str) -> None:
    for django in ("4.2", "5.2.1", "6.1"):
        facts = Facts(python=python, django=django)
        check_noop(CODE, "", files=DJANGO, target="bridge", facts=facts)
    check_noop(CODE, "", files=DJANGO, target="bridge")


@pytest.mark.parametrize("code", ["E101", "E107"])
def test_no_fix_writes_what_such_a_project_cannot_import(code: str) -> None:
    files = {name: text for name, text in DJANGO.items() if code != "E101" or "asgi" not in name}

    after = fixed(files, code, target="bridge", facts=Facts(python="3.10.13", django="4.2"))

    assert after == files
