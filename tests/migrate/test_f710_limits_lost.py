"""F710: request limits that gunicorn or uwsgi enforce, and uvicorn does not."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, findings
from tests.migrate.sites import DJANGO, FLASK, procfile

CODE = "F710"


@pytest.mark.parametrize(
    ("files", "line", "expected"),
    [
        (procfile("gunicorn shop:app --limit-request-line 2000"), 1, "--limit-request-line 2000"),
        ({"gunicorn.conf.py": "workers = 2\nlimit_request_fields = 50\n"}, 2, "fields 50"),
        ({"uwsgi.ini": "[uwsgi]\nmodule = shop:app\nlimit-post = 1000\n"}, 3, "limit-post 1000"),
    ],
)
def test_a_limit_is_found(files: dict[str, str], line: int, expected: str) -> None:
    [found] = findings({**FLASK, **files}, CODE)

    assert found.line == line
    assert expected in found.message


def test_a_command_without_limits_is_ignored() -> None:
    check_noop(CODE, "web: gunicorn shop:app\n", path="Procfile", files=FLASK)


def test_django_projects_are_left_to_x503() -> None:
    text = "web: gunicorn mysite.wsgi --limit-request-line 2000\n"
    check_noop(CODE, text, path="Procfile", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    text = "# bridge: ignore[F710]\nweb: gunicorn shop:app --limit-request-line 2000\n"
    check_noop(CODE, text, path="Procfile", files=FLASK)
