"""F708: a start command that calls a factory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.http import Http1Client
from tests.harness.servers import serve
from tests.migrate.helpers import check_noop, findings, fixed
from tests.migrate.sites import FLASK, procfile

CODE = "F708"
COMMAND = "gunicorn \"shop:create_app('hi')\" -w 2"
ASGI = (
    '"""The app for ASGI servers: uvicorn asgi:application"""\n\n'
    "from bridge import to_asgi\n"
    "from shop import create_app\n\n"
    "application = to_asgi(create_app('hi'))\n"
)


def test_a_module_that_calls_the_factory_is_added() -> None:
    files = {**FLASK, **procfile(COMMAND)}
    [found] = findings(files, CODE)

    assert found.fix is not None
    assert found.fix.safe
    assert fixed(files, CODE, unsafe=False) == {**files, "asgi.py": ASGI}


def test_the_added_module_is_served(tmp_path: Path) -> None:
    for name, text in fixed({**FLASK, **procfile(COMMAND)}, CODE).items():
        (tmp_path / name).write_text(text)
    with serve("uvicorn-h11", "asgi:application", cwd=tmp_path) as server:
        assert Http1Client(server.port).fetch("GET", "/").body == b"hi http /"


@pytest.mark.parametrize("option", ["--chdir backend", "--pythonpath=./backend"])
def test_the_module_is_added_where_the_app_is_imported_from(option: str, tmp_path: Path) -> None:
    files = {"backend/shop.py": FLASK["shop.py"], **procfile(f"{COMMAND} {option}")}
    after = fixed(files, CODE, unsafe=False)
    for name, text in after.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert "uvicorn --app-dir backend asgi:application" in after["backend/asgi.py"]
    with serve("uvicorn-h11", "asgi:application", cwd=tmp_path / "backend") as server:
        assert Http1Client(server.port).fetch("GET", "/").body == b"hi http /"


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn \"shop:create_app('$APP_ENV')\"",
        "gunicorn --chdir /srv/shop 'shop:create_app()'",
        "gunicorn --chdir elsewhere 'shop:create_app()'",
        "gunicorn --chdir $FOLDER 'shop:create_app()'",
    ],
)
def test_no_fix_for_unknown_arguments_and_folders(command: str) -> None:
    files = {**FLASK, **procfile(command)}

    assert [each.fix for each in findings(files, CODE)] == [None]


def test_a_module_of_that_name_is_not_overwritten() -> None:
    files = {**FLASK, **procfile(COMMAND), "asgi.py": "import shop\n"}
    [found] = findings(files, CODE)

    assert found.fix is None


def test_a_project_with_such_a_module_is_ignored() -> None:
    check_noop(CODE, f"web: {COMMAND}\n", path="Procfile", files={**FLASK, "main.py": ASGI})


def test_an_attribute_is_ignored() -> None:
    check_noop(CODE, "web: gunicorn shop:app\n", path="Procfile", files=FLASK)


def test_a_comment_suppresses_it() -> None:
    text = f"# bridge: ignore[F708] bridge run takes it\nweb: {COMMAND}\n"
    check_noop(CODE, text, path="Procfile", files=FLASK)
