"""V404: keys of request.META that are not set under ASGI."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings


def severities(line: str, define: str = "def") -> list[tuple[Severity | None, Severity | None]]:
    code = f"{define} view(request):\n    {line}\n"
    return [(each.native, each.bridge) for each in findings({"shop/code.py": code}, "V404")]


def test_a_missing_key_is_an_error() -> None:
    assert severities("request.META['REMOTE_USER']") == [(Severity.ERROR, Severity.WARNING)]
    assert severities("request.META['mod_wsgi.version']") == [(Severity.ERROR, Severity.WARNING)]


def test_bridge_sets_the_keys_of_wsgi() -> None:
    assert severities("request.META['REQUEST_URI']") == [(Severity.ERROR, None)]
    assert severities("self.request.META['wsgi.input']") == [(Severity.ERROR, None)]
    check_noop("V404", "def f(request):\n    request.META['REQUEST_URI']\n", target="bridge")


def test_async_views_are_errors_for_bridge() -> None:
    errors = [(Severity.ERROR, Severity.ERROR)]

    assert severities("request.META['REQUEST_URI']", "async def") == errors


def test_a_key_that_is_checked_for_is_a_warning() -> None:
    warnings = [(Severity.WARNING, Severity.WARNING)]

    assert severities("request.META.get('REMOTE_USER')") == warnings
    assert severities("x = 'AUTH_TYPE' in request.META and request.META['AUTH_TYPE']") == warnings


@pytest.mark.parametrize(
    "line",
    [
        "request.META['REMOTE_ADDR']",
        "request.META['HTTP_X_REMOTE_USER']",
        "request.META.get('CONTENT_LENGTH', 0)",
        "request.META['wsgi.multithread']",
        "request.META['SERVER_NAME'], request.META['SCRIPT_NAME'], request.META['PATH_INFO']",
        "request.META['REMOTE_USER'] = 'me'",
        "del request.META['REMOTE_USER']",
        "request.META[name]",
        "os.environ['REMOTE_USER']",
        "request.META['REMOTE_USER']  # bridge: ignore[V404] only behind Apache",
    ],
)
def test_other_code_is_ignored(line: str) -> None:
    assert severities(line) == []
