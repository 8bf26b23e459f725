"""X505: nginx that does not pass WebSockets on, or uses the uwsgi protocol."""

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


def test_the_headers_are_added_next_to_existing_ones() -> None:
    check_transformed(
        CODE,
        site("proxy_set_header Host $host;", "proxy_pass http://app;"),
        site("proxy_set_header Host $host;", *UPGRADE, "proxy_pass http://app;"),
        path="nginx.conf",
        files={**DJANGO, **CONSUMER},
        safe=False,
    )


def test_headers_of_the_outer_block_stay_in_effect() -> None:
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
        files={**DJANGO, **CONSUMER},
        safe=False,
    )


def test_an_existing_connection_header_is_replaced() -> None:
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
        files={**DJANGO, **CONSUMER},
        safe=False,
    )


def test_uwsgi_pass_is_replaced_by_proxy_pass() -> None:
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
        files={**DJANGO, **CONSUMER},
        safe=False,
    )


def test_no_fix_for_parameters_without_counterpart() -> None:
    text = site("uwsgi_pass app;", "uwsgi_param REMOTE_USER $remote_user;")
    [found] = findings({**DJANGO, "nginx.conf": text}, CODE)

    assert found.fix is None
    assert found.native is Severity.WARNING


@pytest.mark.parametrize(
    ("files", "severity"),
    [(DJANGO, Severity.INFO), ({**DJANGO, **CONSUMER}, Severity.WARNING)],
)
def test_it_is_a_warning_where_websockets_are_used(
    files: dict[str, str], severity: Severity
) -> None:
    [found] = findings({**files, "nginx.conf": site("proxy_pass http://app;")}, CODE)

    assert found.native is found.bridge is severity


def test_locations_that_upgrade_are_ignored() -> None:
    text = site("proxy_set_header upgrade $http_upgrade;", "proxy_pass http://app;")
    check_noop(CODE, text, path="nginx.conf", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    text = site("# bridge: ignore[X505] pages only", "proxy_pass http://app;")
    check_noop(CODE, text, path="nginx.conf", files=DJANGO)
