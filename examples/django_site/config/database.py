"""Converts ``DATABASE_URL`` to Django's ``DATABASES["default"]``, for SQLite and PostgreSQL.

======================================================  =========================================
``sqlite:///shop.sqlite3``                              a file in the project's folder
``sqlite:////var/lib/shop.sqlite3``                     a file at an absolute path
``postgresql://user:password@host:5432/name``           PostgreSQL; each part may be percent-encoded
``postgresql:///name?host=/run/postgresql``             the same through a Unix socket
======================================================  =========================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import django
from django.core.exceptions import ImproperlyConfigured


def database_from_url(url: str, base_dir: Path) -> dict[str, Any]:
    """Parse a database URL.

    :param base_dir: the folder of relative SQLite paths.
    :raises ImproperlyConfigured: unsupported scheme, or no name. The message lists the supported
        forms and omits the URL, because it may contain a password.
    """
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL has no database name: scheme://host/name")
    if parts.scheme == "sqlite":
        return _sqlite(base_dir / name)
    if parts.scheme in ("postgres", "postgresql"):
        return _postgresql(parts, name)
    raise ImproperlyConfigured(
        f"DATABASE_URL begins with {parts.scheme!r}; supported are sqlite:///file.sqlite3 "
        "and postgresql://user:password@host:port/name"
    )


def _sqlite(path: Path) -> dict[str, Any]:
    """Threads wait up to 20 s for each other's writes instead of failing immediately."""
    options: dict[str, Any] = {"timeout": 20}
    if django.VERSION >= (5, 1):
        options["transaction_mode"] = "IMMEDIATE"
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}


def _postgresql(parts: SplitResult, name: str) -> dict[str, Any]:
    """Connections are kept for a minute: behind bridge they belong to long-lived threads."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
