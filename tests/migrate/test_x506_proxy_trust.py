"""X506: script name and proxy trust."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import DJANGO, FLASK, procfile

CODE = "X506"


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn mysite.wsgi --forwarded-allow-ips='*'",
        "uvicorn mysite.asgi:application --forwarded-allow-ips '*'",
        "/usr/bin/env FORWARDED_ALLOW_IPS='*' uvicorn mysite.asgi:application "
        "--forwarded-allow-ips=*",
    ],
)
def test_trust_in_every_proxy_is_found(command: str) -> None:
    [found] = findings({**DJANGO, **procfile(command)}, CODE)

    assert "which the client can write" in found.message
    assert "$remote_addr" in found.help


def test_behind_a_unix_socket_the_proxy_must_overwrite() -> None:
    command = "uvicorn mysite.asgi:application --uds /run/x --forwarded-allow-ips '*'"
    [found] = findings({**DJANGO, **procfile(command)}, CODE)

    assert found.help.startswith("have the proxy overwrite")


def test_trust_in_the_configuration_file_is_found_there() -> None:
    [found] = findings({**DJANGO, "gunicorn.conf.py": 'forwarded_allow_ips = "*"\n'}, CODE)

    assert (str(found.path), found.line) == ("gunicorn.conf.py", 1)


@pytest.mark.parametrize(
    "files",
    [
        procfile("SCRIPT_NAME=/shop gunicorn mysite.wsgi"),
        procfile("gunicorn -e SCRIPT_NAME=/shop mysite.wsgi"),
        {"x.service": "Environment=SCRIPT_NAME=/shop\nExecStart=/bin/gunicorn mysite.wsgi\n"},
        {"uwsgi.ini": "[uwsgi]\nmount = /shop=mysite.wsgi:application\n"},
    ],
)
def test_a_script_name_is_found(files: dict[str, str]) -> None:
    [found] = findings({**DJANGO, **files}, CODE)

    assert "SCRIPT_NAME /shop" in found.message
    assert 'FORCE_SCRIPT_NAME = "/shop"' in found.help


def test_bridge_run_accepts_a_root_path() -> None:
    files = {**FLASK, **procfile("gunicorn -e SCRIPT_NAME=/shop shop:app")}
    [found] = findings(files, CODE, target="bridge")

    assert "bridge run --root-path /shop" in found.help


def test_a_script_name_sent_by_nginx_is_found() -> None:
    text = (
        "location /shop/ {\n    proxy_set_header SCRIPT_NAME /shop;\n    proxy_pass http://a;\n}\n"
    )
    [found] = findings({**DJANGO, "nginx.conf": text}, CODE)

    assert found.line == 2


@pytest.mark.parametrize(
    "command",
    ["gunicorn mysite.wsgi --forwarded-allow-ips 10.0.0.7", "uvicorn mysite.asgi:application"],
)
def test_named_proxies_are_ignored(command: str) -> None:
    check_noop(CODE, f"web: {command}\n", path="Procfile", files=DJANGO)


def test_a_script_name_in_the_settings_is_enough() -> None:
    settings = DJANGO["mysite/settings.py"] + 'FORCE_SCRIPT_NAME = "/shop"\n'
    files = {**DJANGO, "mysite/settings.py": settings}
    check_noop(CODE, "web: SCRIPT_NAME=/shop gunicorn mysite.wsgi\n", path="Procfile", files=files)


def test_a_comment_suppresses_it() -> None:
    text = "# bridge: ignore[X506]\nweb: gunicorn mysite.wsgi --forwarded-allow-ips='*'\n"
    check_noop(CODE, text, path="Procfile", files=DJANGO)
