"""Findings that change nothing for a project are counted, and shown with ``--verbose`` only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli.commands import app
from bridge.migrate.facts import Facts, MiddlewareFact
from bridge.migrate.rule import select_rules
from bridge.migrate.runner import check
from tests.migrate.helpers import fixed, project_of
from tests.migrate.sites import DJANGO, FLASK, procfile

BRIDGE = DJANGO["mysite/asgi.py"].replace("django.core.asgi", "bridge.contrib.django")
THROUGH_BRIDGE = {**DJANGO, "mysite/asgi.py": BRIDGE}
MIDDLEWARE = THROUGH_BRIDGE["mysite/settings.py"] + (
    'MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "mysite.code.timing"]\n'
)
TIMING = "def timing(get_response):\n    return lambda request: get_response(request)\n"
ASYNC_VIEW = "async def prices(request):\n    ...\n"
LOCAL = "import threading\n\nstate = threading.local()\n"
TEST = "class Pages(TestCase):\n    def test_front(self):\n        self.client.get('/')\n"
STREAM = (
    "from django.http import StreamingHttpResponse\n\n\n"
    "def rows():\n    yield 'x'\n\n\n"
    "def export(request):\n    return StreamingHttpResponse(rows())\n"
)
DATABASE = (
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': 60}}\n"
)
OTHERS_LOCAL = MiddlewareFact("other.Unused", is_used=False)
SOCKET = "from flask_sock import Sock\n"
NGINX = {
    "nginx.conf": (
        "server {\n    location / {\n        proxy_pass http://app;\n"
        "        proxy_set_header Connection '';\n    }\n}\n"
    )
}
LOOP = "import asyncio\nimport threading\nimport time\n\n\n"
BLOCKING = "async def poll():\n    time.sleep(1)\n\n\n"
OWN_LOOP = "def work():\n    asyncio.run(poll())\n\n\nthreading.Thread(target=work).start()\n"


def both(
    files: dict[str, str], code: str, target: str = "bridge", facts: Facts | None = None
) -> tuple[int, int]:
    """The numbers of findings that are shown, and that are not."""
    with project_of(files, target=target, facts=facts) as project:
        report = check(project, select_rules([code]))
        assert report.problems == ()
        return len(report.findings), len(report.details)


@pytest.mark.parametrize(
    ("code", "files", "changed"),
    [
        ("M201", {"mysite/settings.py": MIDDLEWARE, "mysite/code.py": TIMING}, None),
        ("T601", {"tests.py": TEST}, {"mysite/code.py": ASYNC_VIEW}),
        ("V406", {"mysite/code.py": LOCAL}, {"mysite/views.py": ASYNC_VIEW}),
        ("V401", {"mysite/code.py": STREAM}, None),
        ("D301", {"mysite/settings.py": DJANGO["mysite/settings.py"] + DATABASE}, None),
    ],
)
def test_a_finding_of_django_is_shown_where_it_changes_something(
    code: str, files: dict[str, str], changed: dict[str, str] | None
) -> None:
    before = {**THROUGH_BRIDGE, **files}

    assert both(before, code) == (0, 1)
    assert sum(both(before, code, "native")) == both(before, code, "native")[0] == 1
    if changed:
        assert both({**before, **changed}, code) == (1, 0)


def test_a_finding_is_shown_while_djangos_own_handler_serves_the_project() -> None:
    files = {**DJANGO, "mysite/code.py": STREAM}

    assert both(files, "V401") == (1, 0)


DOWNLOAD = "from django.http import FileResponse\n\n\ndef f(request):\n    return FileResponse(x)\n"


def test_what_the_fix_of_the_application_resolves_is_a_detail_beside_it() -> None:
    with project_of({**DJANGO, "mysite/code.py": DOWNLOAD}, target="bridge") as project:
        report = check(project, select_rules(["E107", "V402"]))

    assert [each.code for each in report.findings] == ["E107"]
    assert [each.code for each in report.details] == ["V402"]
    assert both({**DJANGO, "mysite/code.py": DOWNLOAD}, "V402") == (1, 0)  # alone


def test_a_user_from_a_header_is_a_detail_where_only_sync_views_are_served() -> None:
    user = "django.contrib.auth.middleware.RemoteUserMiddleware"
    settings = f"{DJANGO['mysite/settings.py']}MIDDLEWARE = [{user!r}]\n"
    files = {**THROUGH_BRIDGE, "mysite/settings.py": settings}

    assert both(files, "M206") == (0, 1)
    assert both({**files, "mysite/views.py": ASYNC_VIEW}, "M206") == (1, 0)
    assert both(files, "M206", "native") == (1, 0)


OLD_RELEASE = (
    "from django.core.wsgi import get_wsgi_application\nimport other\n\n"
    "application = get_wsgi_application()\n"
    "if {test}:\n    application = other.Files(application)\n"
)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("other_version < (3, 0)", (0, 1)),
        ("sys.version_info < (3, 8)", (0, 1)),
        ("django.VERSION < (1, 7)", (0, 1)),
        ("settings.DEBUG", (1, 0)),
    ],
)
def test_wsgi_middleware_for_old_releases_is_a_detail(test: str, expected: tuple[int, int]) -> None:
    files = {**DJANGO, "mysite/wsgi.py": OLD_RELEASE.format(test=test)}

    assert both(files, "E104", "native") == expected


@pytest.mark.parametrize("code", ["M204", "M205"])
def test_sync_only_middleware_matters_beside_async_code(code: str) -> None:
    path = "mysite.code.timing" if code == "M204" else "other.Timing"
    settings = f"{DJANGO['mysite/settings.py']}MIDDLEWARE = [{path!r}]\n"
    files = {**DJANGO, "mysite/settings.py": settings, "mysite/code.py": TIMING}
    facts = Facts(
        settings={"MIDDLEWARE": [path]}, middleware=(MiddlewareFact(path, async_capable=False),)
    )

    assert both(files, code, "native", facts) == (0, 1)
    assert both({**files, "mysite/views.py": ASYNC_VIEW}, code, "native", facts) == (1, 0)


def test_middleware_that_is_not_used_is_a_detail() -> None:
    settings = f"{DJANGO['mysite/settings.py']}MIDDLEWARE = ['other.Unused']\n"
    facts = Facts(settings={"MIDDLEWARE": ["other.Unused"]}, middleware=(OTHERS_LOCAL,))

    assert both({**DJANGO, "mysite/settings.py": settings}, "M207", "native", facts) == (0, 1)


@pytest.mark.parametrize(
    ("code", "files"),
    [
        (
            "F707",
            {"shop.py": "from flask import Flask\n\n\n@app.get('/')\nasync def f():\n    ...\n"},
        ),
        ("F704", {"shop.py": "app.wsgi_app = Wrapper(app.wsgi_app)\n"}),
        ("F708", procfile("gunicorn 'shop:create_app()'")),
    ],
)
def test_what_bridge_run_serves_unchanged_is_a_detail(code: str, files: dict[str, str]) -> None:
    assert both({**FLASK, **files}, code) == (0, 1)


# -- V409: loops of the project's own --------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        BLOCKING + OWN_LOOP,
        BLOCKING + "def work():\n    asyncio.new_event_loop().run_until_complete(poll())\n",
        BLOCKING + "async def main():\n    await poll()\n\n\n" + OWN_LOOP.replace("poll", "main"),
        BLOCKING
        + "async def main():\n    async with asyncio.TaskGroup() as group:\n"
        + "        group.create_task(poll())\n\n\n"
        + OWN_LOOP.replace("poll", "main"),
        "class Bot:\n    async def poll(self):\n        time.sleep(1)\n\n"
        "    def run(self):\n        asyncio.run(self.poll())\n",
    ],
)
def test_a_loop_of_the_projects_own_is_not_the_servers(text: str) -> None:
    assert both({**FLASK, "bot.py": LOOP + text}, "V409") == (0, 1)


@pytest.mark.parametrize(
    "text",
    [
        BLOCKING,
        BLOCKING + OWN_LOOP + "\n\nasync def view(request):\n    await poll()\n",
        "async def poll(request):\n    time.sleep(1)\n\n\n" + OWN_LOOP,
    ],
)
def test_a_coroutine_that_the_server_may_run_is_shown(text: str) -> None:
    assert both({**FLASK, "bot.py": LOOP + text}, "V409") == (1, 0)


# -- X505 ------------------------------------------------------------------------------------------


def test_nginx_of_an_app_without_websockets_is_a_detail_without_fix() -> None:
    assert both({**FLASK, **NGINX}, "X505") == (0, 1)
    assert fixed({**FLASK, **NGINX}, "X505")["nginx.conf"] == NGINX["nginx.conf"]
    with_sockets = {**FLASK, **NGINX, "chat.py": SOCKET}
    assert both(with_sockets, "X505") == (1, 0)
    assert "Upgrade" in fixed(with_sockets, "X505")["nginx.conf"]


# -- the command -----------------------------------------------------------------------------------


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(site: Path, *arguments: str) -> Any:
    command = ["migrate", "check", str(site), "--no-introspect", "--target", "bridge"]
    return CliRunner().invoke(app, [*command, "--select", "M201", *arguments])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return written(tmp_path, {**THROUGH_BRIDGE, "mysite/settings.py": MIDDLEWARE})


def test_details_are_counted_and_shown_with_verbose(site: Path) -> None:
    hidden, shown = run(site), run(site, "--verbose")

    assert hidden.stdout.startswith("Nothing found for target bridge.")
    assert "1 finding that changes nothing here is not shown: --verbose" in hidden.stdout
    assert "M201 info" in shown.stdout
    assert "--verbose" not in shown.stdout


def test_details_do_not_fail_a_check(site: Path) -> None:
    assert run(site, "--fail-level", "info").exit_code == 0
    assert run(site, "--fail-level", "info", "--verbose").exit_code == 1


def test_json_has_their_number(site: Path) -> None:
    made = json.loads(run(site, "--format", "json").stdout)
    verbose = json.loads(run(site, "--format", "json", "--verbose").stdout)

    assert (made["findings"], made["details"]) == ([], 1)
    assert ([each["rule"] for each in verbose["findings"]], verbose["details"]) == (["M201"], 0)


def test_markdown_and_the_configuration_know_them_too(site: Path) -> None:
    assert "1 finding that changes nothing here" in run(site, "--format", "markdown").stdout
    (site / "pyproject.toml").write_text("[tool.bridge.migrate]\nverbose = true\n")
    assert "M201 info" in run(site).stdout


# -- the plan --------------------------------------------------------------------------------------


def plan(site: Path) -> str:
    arguments = ["migrate", "plan", str(site), "--no-introspect", "--target", "bridge"]
    return str(CliRunner().invoke(app, [*arguments, "--fail-level", "never"]).stdout)


@pytest.mark.parametrize(
    "databases",
    [
        "",
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db'}}\n",
        "DATABASES = load()\n",
    ],
)
def test_the_plan_says_nothing_of_databases_without_connections(
    databases: str, tmp_path: Path
) -> None:
    settings = THROUGH_BRIDGE["mysite/settings.py"] + databases
    text = plan(written(tmp_path, {**THROUGH_BRIDGE, "mysite/settings.py": settings}))

    assert "no database" not in text
    assert ("Connections" in text) is ("load()" in databases)


def test_the_plan_does_not_call_one_thread_as_many_as_four(tmp_path: Path) -> None:
    text = plan(written(tmp_path, {**FLASK, **procfile("gunicorn shop:app")}))

    assert "4 in 1 process: at least 4 (now gunicorn: 1 process x 1 thread)" in text
