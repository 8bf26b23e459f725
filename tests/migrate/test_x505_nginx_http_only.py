"""X505: nginx that passes plain HTTP only, or speaks uwsgi's protocol."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, check_transformed, findings
from tests.migrate.sites import DJANGO

CODE = "X505"
UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $http_connection;",
)
CONSUMER = {"mysite/consumers.py": "class Chat(WebsocketConsumer):\n    pass\n"}


def site(*lines: str) -> str:
    inner = "".join(f"        {line}\n" for line in lines)
    return f"server {{\n    listen 80;\n    location / {{\n{inner}    }}\n}}\n"


def test_the_headers_go_next_to_those_that_are_there() -> None:
    check_transformed(
        CODE,
        site("proxy_set_header Host $host;", "proxy_pass http://app;"),
        site("proxy_set_header Host $host;", *UPGRADE, "proxy_pass http://app;"),
        path="nginx.conf",
        files=DJANGO,
        safe=False,
    )


def test_headers_of_the_block_around_stay_in_force() -> None:
    """nginx inherits ``proxy_set_header`` only into blocks that have none."""
    check_transformed(
        CODE,
        "server {\n    proxy_set_header Host $host;\n    location / {\n"
        "        proxy_pass http://app;\n    }\n}\n",
        "server {\n    proxy_set_header Host $host;\n    proxy_http_version 1.1;\n"
        "    proxy_set_header Upgrade $http_upgrade;\n"
        "    proxy_set_header Connection $http_connection;\n    location / {\n"
        "        proxy_pass http://app;\n    }\n}\n",
        path="nginx.conf",
        files=DJANGO,
        safe=False,
    )


def test_a_connection_header_that_is_there_is_replaced() -> None:
    check_transformed(
        CODE,
        site("proxy_http_version 1.1;", 'proxy_set_header Connection "";', "proxy_pass http://a;"),
        site(
            "proxy_http_version 1.1;",
            "proxy_set_header Connection $http_connection;",
            "proxy_set_header Upgrade $http_upgrade;",
            "proxy_pass http://a;",
        ),
        path="sites-enabled/shop",
        files=DJANGO,
        safe=False,
    )


def test_uwsgi_pass_becomes_proxy_pass() -> None:
    check_transformed(
        CODE,
        site("include uwsgi_params;", "uwsgi_pass unix:/run/x.sock;", "uwsgi_read_timeout 90;"),
        site(
            "proxy_pass http://unix:/run/x.sock;",
            "proxy_set_header Host $host;",
            "proxy_set_header X-Forwarded-For $remote_addr;",
            "proxy_set_header X-Forwarded-Proto $scheme;",
            *UPGRADE,
            "proxy_read_timeout 90;",
        ),
        path="nginx.conf",
        files=DJANGO,
        safe=False,
    )


def test_parameters_without_counterpart_are_left_to_the_user() -> None:
    text = site("uwsgi_pass app;", "uwsgi_param REMOTE_USER $remote_user;")
    [found] = findings({**DJANGO, "nginx.conf": text}, CODE)

    assert found.fix is None
    assert found.native is Severity.WARNING


@pytest.mark.parametrize(
    ("files", "severity"),
    [(DJANGO, Severity.INFO), ({**DJANGO, **CONSUMER}, Severity.WARNING)],
)
def test_it_matters_where_there_are_websockets(files: dict[str, str], severity: Severity) -> None:
    [found] = findings({**files, "nginx.conf": site("proxy_pass http://app;")}, CODE)

    assert found.native is found.bridge is severity


def test_upgrading_locations_are_left_alone() -> None:
    text = site("proxy_set_header upgrade $http_upgrade;", "proxy_pass http://app;")
    check_noop(CODE, text, path="nginx.conf", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    text = site("# bridge: ignore[X505] pages only", "proxy_pass http://app;")
    check_noop(CODE, text, path="nginx.conf", files=DJANGO)
