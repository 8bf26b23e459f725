"""D302: more database connections in the worst case than the database allows."""

from __future__ import annotations

from tests.migrate.helpers import findings

SITE = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n",
    "site/settings.py": "DATABASES = {\n"
    "    'default': {'ENGINE': 'django.db.backends.postgresql'},\n}\n",
}


def messages(files: dict[str, str], target: str = "native") -> list[str]:
    return [each.message for each in findings({**SITE, **files}, "D302", target=target)]


def settings(database: str, suffix: str = "") -> dict[str, str]:
    return {"site/settings.py": f"DATABASES = {{'default': {database}}}{suffix}\n"}


def test_native_asgi_has_no_limit() -> None:
    (message,) = messages({})

    assert "no bound" in message
    assert "max_connections = 100" in message


def test_limit_concurrency_of_uvicorn_counts() -> None:
    start = "web: uvicorn site.asgi:application --workers 4 --limit-concurrency "

    assert messages({"Procfile": start + "20\n"}) == []
    (message,) = messages({"Procfile": start + "50\n"})
    assert "4 processes x --limit-concurrency 50 = 200" in message


def test_the_size_of_a_connection_pool_counts() -> None:
    pool = "{{'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {{'pool': {}}}}}"

    assert messages(settings(pool.format("True"))) == []
    (message,) = messages(settings(pool.format("{'max_size': 150}")))
    assert "x 150 of the pool = 150" in message


def test_bridge_needs_one_connection_for_each_thread() -> None:
    few = "web: gunicorn site.wsgi --workers 2 --threads 8\n"
    many = "web: gunicorn site.wsgi --workers 8 --threads 20\n"

    assert messages({"Procfile": few}, "bridge") == []
    (message,) = messages({"Procfile": many}, "bridge")
    assert "8 processes x 20 threads = 160" in message


def test_computed_numbers_are_reported_as_such() -> None:
    start = {
        "Procfile": "web: gunicorn site.wsgi --threads 8\n",
        "gunicorn.conf.py": "import os\n\nworkers = os.cpu_count()\n",
    }

    (message,) = messages(start, "bridge")
    assert "a computed number of processes x 8 threads for sync views" in message


def test_sqlite_needs_no_connections() -> None:
    assert messages(settings("{'ENGINE': 'django.db.backends.sqlite3'}")) == []


def test_a_comment_suppresses_it() -> None:
    database = "{'ENGINE': 'django.db.backends.postgresql'}"

    assert messages(settings(database, "  # bridge: ignore[D302] behind pgbouncer")) == []
