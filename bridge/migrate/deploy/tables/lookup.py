"""The table of each source of options."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.migrate.deploy.records import Option
from bridge.migrate.deploy.tables.containers import (
    COMPOSE,
    DOCKERFILE,
    ENVIRONMENT,
    KUBERNETES,
    PROCFILE,
    SHELL,
)
from bridge.migrate.deploy.tables.gunicorn import GUNICORN
from bridge.migrate.deploy.tables.mod_wsgi import MOD_WSGI, MOD_WSGI_EXPRESS
from bridge.migrate.deploy.tables.passenger import PASSENGER
from bridge.migrate.deploy.tables.rows import NOT_UNDERSTOOD, Row, Table
from bridge.migrate.deploy.tables.supervisors import SUPERVISOR, SYSTEMD
from bridge.migrate.deploy.tables.uwsgi import UWSGI, UWSGI_VARIABLE, uwsgi_option
from bridge.migrate.deploy.tables.waitress import WAITRESS

__all__ = ["TABLES", "row_of"]

TABLES: Mapping[str, Table] = {
    "uwsgi": UWSGI,
    "gunicorn": GUNICORN,
    "mod_wsgi": MOD_WSGI,
    "mod_wsgi-express": MOD_WSGI_EXPRESS,
    "waitress-serve": WAITRESS,
    "passenger": PASSENGER,
    "systemd": SYSTEMD,
    "supervisor": SUPERVISOR,
    "dockerfile": DOCKERFILE,
    "compose": COMPOSE,
    "kubernetes": KUBERNETES,
    "procfile": PROCFILE,
    "shell": SHELL,
    "environment": ENVIRONMENT,
}


def row_of(option: Option) -> Row:
    """What becomes of an option."""
    if option.source == "environment" and option.name.startswith(UWSGI_VARIABLE):
        return UWSGI.row(uwsgi_option(option.name))
    table = TABLES.get(option.source)
    return NOT_UNDERSTOOD if table is None else table.row(option.name)
