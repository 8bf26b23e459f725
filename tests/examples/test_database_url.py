"""Parsing of ``DATABASE_URL`` in the Django example."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.examples.projects import DJANGO_SITE

BASE = Path("/srv/site")


def read(url: str) -> dict[str, Any]:
    """Call the example's function."""
    namespace = runpy.run_path(str(DJANGO_SITE / "config" / "database.py"))
    settings: dict[str, Any] = namespace["database_from_url"](url, BASE)
    return settings


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.sqlite3", BASE / "shop.sqlite3"),
        ("sqlite:////var/lib/shop.sqlite3", Path("/var/lib/shop.sqlite3")),
        ("sqlite:///my%20shop.sqlite3", BASE / "my shop.sqlite3"),
    ],
)
def test_a_sqlite_path_is_relative_or_absolute(url: str, path: Path) -> None:
    assert read(url)["NAME"] == path


def test_each_part_of_a_postgresql_url_may_be_percent_encoded() -> None:
    settings = read("postgresql://ad%40a:p%2Fw%3A@db.example:5433/shop%2D1?sslmode=require")
    assert settings["USER"] == "ad@a"
    assert settings["PASSWORD"] == "p/w:"
    assert (settings["HOST"], settings["PORT"]) == ("db.example", "5433")
    assert settings["NAME"] == "shop-1"
    assert settings["OPTIONS"] == {"sslmode": "require"}


def test_postgresql_through_a_unix_socket() -> None:
    settings = read("postgres:///shop?host=/run/postgresql")
    assert (settings["HOST"], settings["PORT"]) == ("", "")
    assert settings["OPTIONS"] == {"host": "/run/postgresql"}


@pytest.mark.parametrize(
    "url", ["mysql://ada:secret@localhost/shop", "postgresql://ada:secret@localhost", "shop", ""]
)
def test_an_unsupported_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        read(url)
    assert "DATABASE_URL" in str(refused.value)
    assert "secret" not in str(refused.value)
