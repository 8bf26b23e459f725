"""X502: gunicorn with uvicorn.workers."""

from __future__ import annotations

from tests.migrate.helpers import check_noop, check_transformed, findings
from tests.migrate.sites import DJANGO

CODE = "X502"
OLD = "web: gunicorn mysite.asgi:application -w 2 -k uvicorn.workers.UvicornWorker\n"
NEW = "web: gunicorn mysite.asgi:application -w 2 -k uvicorn_worker.UvicornWorker\n"


def test_the_fix_is_safe_where_the_package_is_listed() -> None:
    files = {**DJANGO, "requirements.txt": "gunicorn\nuvicorn\nuvicorn-worker\n"}
    check_transformed(CODE, OLD, NEW, path="Procfile", files=files)


def test_the_fix_is_unsafe_without_a_list_of_requirements() -> None:
    check_transformed(CODE, OLD, NEW, path="Procfile", files=DJANGO, safe=False)


def test_the_package_is_added_to_the_requirements() -> None:
    before = "gunicorn==22\nuvicorn\n"
    check_noop(CODE, NEW, path="Procfile", files={**DJANGO, "requirements.txt": before})
    [found] = findings({**DJANGO, "requirements.txt": before, "Procfile": OLD}, CODE)

    assert found.fix is not None
    assert found.fix.safe
    assert [getattr(edit, "text", "") for edit in found.fix.edits] == [
        "uvicorn_worker.",
        "uvicorn-worker\n",
    ]


def test_the_configuration_file_is_changed() -> None:
    check_transformed(
        CODE,
        'bind = ":8000"\nworker_class = "uvicorn.workers.UvicornH11Worker"  # plain\n',
        'bind = ":8000"\nworker_class = "uvicorn_worker.UvicornH11Worker"  # plain\n',
        path="gunicorn.conf.py",
        files={**DJANGO, "requirements/prod.txt": "uvicorn-worker==0.3\n"},
    )


def test_other_workers_are_ignored() -> None:
    check_noop(CODE, "web: gunicorn mysite.wsgi -k gthread\n", path="Procfile", files=DJANGO)


def test_a_comment_suppresses_it() -> None:
    check_noop(CODE, f"# bridge: ignore[X502]\n{OLD}", path="Procfile", files=DJANGO)
