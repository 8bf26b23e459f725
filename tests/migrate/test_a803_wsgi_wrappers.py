"""A803: the WSGI wrappers of Starlette, FastAPI and uvicorn."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, check_transformed, findings, fixed

MAIN = {"main.py": "app = None\n"}


@pytest.mark.parametrize("package", ["starlette", "fastapi"])
def test_a_wsgi_app_is_wrapped_in_wsgi_to_asgi(package: str) -> None:
    check_transformed(
        "A803",
        f"from {package}.middleware.wsgi import WSGIMiddleware\n\n"
        "app.mount('/flask', WSGIMiddleware(flask_app))\n",
        "from bridge import WsgiToAsgi\n\napp.mount('/flask', WsgiToAsgi(flask_app))\n",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "uvicorn main:app --interface wsgi",
            "bridge run main:app --interface wsgi --server uvicorn",
        ),
        (
            "uvicorn --interface=wsgi --host 0.0.0.0 --port $PORT main:app --workers=2",
            "bridge run --interface wsgi --host 0.0.0.0 --port $PORT main:app --workers 2 "
            "--server uvicorn",
        ),
    ],
)
def test_the_command_becomes_bridge_run(before: str, after: str) -> None:
    check_transformed("A803", f"web: {before}\n", f"web: {after}\n", path="Procfile", files=MAIN)


def test_the_package_is_added_to_the_requirements() -> None:
    files = {
        **MAIN,
        "Procfile": "web: uvicorn main:app --interface wsgi\n",
        "requirements.txt": "flask\nuvicorn==0.30\n",
    }
    result = fixed(files, "A803")

    assert result["requirements.txt"] == ("flask\nwsgi-asgi-bridge[cli,uvicorn]\nuvicorn==0.30\n")


def test_no_fix_for_an_option_without_counterpart() -> None:
    for option in ("--ssl-keyfile key.pem", "--log-level trace", "--fd 3", "--proxy-headers"):
        text = f"web: uvicorn main:app --interface wsgi {option}\n"
        found = findings({**MAIN, "Procfile": text}, "A803")
        assert [(each.line, each.fix) for each in found] == [(1, None)]


def test_other_interfaces_are_ignored() -> None:
    for options in ("", "--interface asgi3", "--interface auto"):
        check_noop("A803", f"web: uvicorn main:app {options}\n", path="Procfile", files=MAIN)


def test_comments_suppress_it() -> None:
    check_noop(
        "A803",
        "from starlette.middleware.wsgi import WSGIMiddleware\n\n"
        "a = WSGIMiddleware(x)  # bridge: ignore[A803] compared\n",
    )
    check_noop(
        "A803",
        "# bridge: ignore[A803] compared\nweb: uvicorn main:app --interface wsgi\n",
        path="Procfile",
        files=MAIN,
    )
