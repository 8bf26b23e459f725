"""F709: environ keys that only one WSGI server sets."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings

CODE = "F709"
HEAD = "from flask import request\n\n"


@pytest.mark.parametrize(
    "key",
    ["gunicorn.socket", "werkzeug.socket", "werkzeug.server.shutdown", "uwsgi.version"],
)
def test_a_key_of_one_server_is_an_error(key: str) -> None:
    [found] = findings({"shop/code.py": f'{HEAD}x = request.environ["{key}"]\n'}, CODE)

    assert (found.line, found.bridge) == (3, Severity.ERROR)


def test_with_a_default_it_is_a_warning() -> None:
    text = f'{HEAD}shutdown = request.environ.get("werkzeug.server.shutdown")\n'
    [found] = findings({"shop/code.py": text}, CODE)

    assert found.bridge is Severity.WARNING


def test_the_environ_of_wsgi_middleware_is_checked() -> None:
    text = "def app(environ, start_response):\n    return environ['DOCUMENT_ROOT']\n"
    assert len(findings({"shop/code.py": text}, CODE)) == 1


@pytest.mark.parametrize(
    "expression",
    [
        'request.environ["REQUEST_URI"]',
        'request.environ["REMOTE_PORT"]',
        'request.environ["wsgi.input"]',
        'os.environ["DOCUMENT_ROOT"]',
        "request.environ[key]",
    ],
)
def test_keys_that_bridge_sets_are_ignored(expression: str) -> None:
    check_noop(CODE, f"import os\n{HEAD}x = {expression}\n")


def test_setting_a_key_is_ignored() -> None:
    check_noop(CODE, f'{HEAD}request.environ["gunicorn.socket"] = None\n')


def test_a_comment_suppresses_it() -> None:
    text = f'{HEAD}x = request.environ["gunicorn.socket"]  # bridge: ignore[F709]\n'
    check_noop(CODE, text)
