"""``DATABASE_URL`` as Django's ``DATABASES["default"]``, for the two databases this site is run on.

======================================================  =========================================
``sqlite:///shop.sqlite3``                              a file below the project's folder
``sqlite:////var/lib/shop.sqlite3``                     a file anywhere
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
    """Read a database URL.

    :param base_dir: what a relative SQLite path is relative to.
    :raises ImproperlyConfigured: another scheme, or no name; says what is taken. The message leaves
        the URL out, because it may hold a password.
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
        f"DATABASE_URL begins with {parts.scheme!r}: takes sqlite:///file.sqlite3 "
        "or postgresql://user:password@host:port/name"
    )


def _sqlite(path: Path) -> dict[str, Any]:
    """Threads wait for each other's writes for up to 20 s instead of failing at once."""
    options: dict[str, Any] = {"timeout": 20}
    if django.VERSION >= (5, 1):
        options["transaction_mode"] = "IMMEDIATE"
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}


def _postgresql(parts: SplitResult, name: str) -> dict[str, Any]:
    """Connections are kept for a minute: behind the bridge they belong to long-lived threads."""
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
