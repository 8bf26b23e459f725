"""E107: the project is to move to bridge, but asgi.py is still Django's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.migrate.findings import Severity
from bridge.migrate.fixer import fix
from bridge.migrate.rule import all_rules, select_rules
from bridge.migrate.runner import check
from tests.harness.http import Http1Client
from tests.harness.servers import serve
from tests.migrate.helpers import check_noop, check_transformed, findings, fixed, project_of
from tests.migrate.sites import DJANGO

CODE = "E107"
PATH = "mysite/asgi.py"
DJANGOS = DJANGO[PATH]
BRIDGES = DJANGOS.replace("django.core.asgi", "bridge.contrib.django")
CHANNELS = (
    "from channels.routing import ProtocolTypeRouter\n"
    "from django.core.asgi import get_asgi_application\n\n"
    'application = ProtocolTypeRouter({"http": get_asgi_application()})\n'
)
MIDDLEWARE = (
    "from django.utils.deprecation import MiddlewareMixin\n\n\n"
    "class Header(MiddlewareMixin):\n    def __call__(self, request):\n"
    "        response = self.get_response(request)\n"
    '        response["X-Request"] = type(request).__name__\n        return response\n'
)
WITH_MIDDLEWARE = {
    **DJANGO,
    "mysite/middleware.py": MIDDLEWARE,
    "mysite/settings.py": DJANGO["mysite/settings.py"]
    + 'MIDDLEWARE = ["mysite.middleware.Header"]\n',
}


@pytest.mark.parametrize("text", [DJANGOS, CHANNELS])
def test_the_import_becomes_that_of_bridge(text: str) -> None:
    check_transformed(
        CODE,
        text,
        text.replace("django.core.asgi", "bridge.contrib.django"),
        path=PATH,
        files=DJANGO,
        target="bridge",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("django\nuvicorn\n", "django\nwsgi-asgi-bridge\nuvicorn\n"),
        ("django\n", "wsgi-asgi-bridge\ndjango\n"),
        ("django\nwsgi-asgi-bridge\n", "django\nwsgi-asgi-bridge\n"),
    ],
)
def test_the_package_is_added_to_the_requirements(before: str, after: str) -> None:
    files = {**DJANGO, "requirements.txt": before}

    assert fixed(files, CODE, target="bridge")["requirements.txt"] == after


@pytest.mark.parametrize(
    "text",
    [
        "import django.core.asgi\napplication = django.core.asgi.get_asgi_application()\n",
        "from django.core.handlers.asgi import ASGIHandler\napplication = ASGIHandler()\n",
        "from configurations.asgi import get_asgi_application\n"
        "application = get_asgi_application()\n",
        "def make():\n    from django.core import asgi\n    return asgi.get_asgi_application()\n",
    ],
)
def test_other_ways_to_make_the_application_have_no_fix(text: str) -> None:
    files = {**DJANGO, PATH: text}

    assert [each.bridge for each in findings(files, CODE, target="bridge")] == [Severity.ERROR]
    assert fixed(files, CODE, target="bridge") == files


@pytest.mark.parametrize(("target", "text"), [("native", DJANGOS), ("bridge", BRIDGES)])
def test_the_application_of_the_target_is_ignored(target: str, text: str) -> None:
    check_noop(CODE, text, path=PATH, files=DJANGO, target=target)


def test_tests_are_ignored() -> None:
    files = {**DJANGO, PATH: BRIDGES}
    check_noop(CODE, DJANGOS, path="mysite/tests/test_live.py", files=files, target="bridge")


def test_the_fix_is_unsafe_where_code_names_asgi_request() -> None:
    view = "from django.core.handlers.asgi import ASGIRequest\n"
    [found] = findings({**DJANGO, "mysite/views.py": view}, CODE, target="bridge")

    assert found.fix is not None
    assert not found.fix.safe


def test_until_then_findings_are_as_severe_as_natively() -> None:
    [found] = findings(WITH_MIDDLEWARE, "M202", target="bridge")
    assert (found.native, found.bridge, found.fix) == (Severity.ERROR, Severity.ERROR, None)

    assert findings({**WITH_MIDDLEWARE, PATH: BRIDGES}, "M202", target="bridge") == []


def test_until_then_remote_user_is_critical() -> None:
    name = "django.contrib.auth.middleware.RemoteUserMiddleware"
    settings = DJANGO["mysite/settings.py"] + f'MIDDLEWARE = ["{name}"]\n'
    files = {**DJANGO, "mysite/settings.py": settings}

    found = [findings({**files, **more}, "M206", target="bridge") for more in ({}, {PATH: BRIDGES})]

    assert [each.bridge for [each] in found] == [Severity.CRITICAL, Severity.INFO]


def test_findings_that_the_move_resolves_are_not_fixed() -> None:
    with project_of(WITH_MIDDLEWARE, target="bridge") as project:
        report = check(project, all_rules())
        changes = fix(project, all_rules(), unsafe=True, report=report)
        after = {project.relative(path): text.text for path, text in changes.after.items()}

    assert {each.code for each in report.findings} >= {CODE, "M202"}
    assert after == {PATH: BRIDGES}
    assert {each.code for each in changes.remaining.findings} & {CODE, "M202"} == set()


def test_two_rules_with_the_same_edit_make_it_once() -> None:
    start = {"Procfile": "web: gunicorn mysite.wsgi\n", "requirements.txt": "django\ngunicorn\n"}
    rules = select_rules([CODE, "X501"])
    with project_of({**DJANGO, **start}, target="bridge") as project:
        changes = fix(project, rules, unsafe=True, report=check(project, rules))
        after = {project.relative(path): text.text for path, text in changes.after.items()}

    assert after[PATH] == BRIDGES.replace("application()\n", "application(threads=4)\n")
    assert after["requirements.txt"] == "django\nuvicorn[standard]\nwsgi-asgi-bridge\ngunicorn\n"


def test_the_start_command_is_changed_after_the_import() -> None:
    files = {**DJANGO, "Procfile": "web: gunicorn mysite.wsgi\n"}
    [before] = findings(files, "X501", target="bridge")
    [after] = findings({**files, PATH: BRIDGES}, "X501", target="bridge")

    assert before.help.startswith("apply E107, pip install")
    assert after.help.startswith("pip install")


def test_a_comment_suppresses_it() -> None:
    text = DJANGOS.replace("application()\n", "application()  # bridge: ignore[E107] not served\n")
    check_noop(CODE, text, path=PATH, files=DJANGO, target="bridge")


@pytest.mark.parametrize(
    ("applied", "status", "header"), [(False, 500, ""), (True, 200, "BridgedRequest")]
)
def test_the_served_page_confirms_the_finding(
    applied: bool, status: int, header: str, tmp_path: Path
) -> None:
    files = fixed(WITH_MIDDLEWARE, CODE, target="bridge") if applied else WITH_MIDDLEWARE
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    with serve("uvicorn-h11", "mysite.asgi:application", cwd=tmp_path) as server:
        answer = Http1Client(server.port).fetch("GET", "/")

    assert (answer.status, answer.header("X-Request") or "") == (status, header)
