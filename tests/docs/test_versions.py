"""The tables of tested versions are read from the configuration of the tests."""

from __future__ import annotations

from collections.abc import Callable
from configparser import ConfigParser
from types import ModuleType

import pytest

from tests.docs.blocks import ROOT

NOXFILE = """
PYTHONS = ["3.11", "3.12"]
PAIRS = dict(a=1)


@nox.session(python=PYTHONS)
def tests(session): ...


@nox.session(python="3.12")
@nox.parametrize("django", ["4.2", "6.0"])
def django(session): ...


@nox.session
@nox.parametrize("gunicorn", ["gunicorn==21.2.0", "gunicorn"])
def servers(session): ...


def helper(): ...
"""


@pytest.fixture(scope="module")
def versions(extension: Callable[[str], ModuleType]) -> ModuleType:
    return extension("versions")


def test_each_python_names_its_sessions(versions: ModuleType) -> None:
    sessions = list(versions.sessions_of(NOXFILE))

    assert versions.python_rows(sessions) == [("3.11", "`tests`"), ("3.12", "`tests`, `django`")]


def test_a_package_names_its_pinned_versions_besides_the_newest(versions: ModuleType) -> None:
    sessions = list(versions.sessions_of(NOXFILE))
    rows = versions.package_rows(sessions, dict.fromkeys(versions.PACKAGES.values(), "1.0"))
    tested = {title: cell for title, _, cell in rows}

    assert tested["Django"] == "newest; 4.2, 6.0 (`nox -s django`)"
    assert tested["gunicorn"] == "newest; 21.2.0 (`nox -s servers`)"
    assert tested["Flask"] == "newest"


def test_the_extras_of_users_win_over_those_of_the_tests(versions: ModuleType) -> None:
    setup = ConfigParser(interpolation=None)
    setup.read_string(
        "[options]\ninstall_requires =\n    asgiref>=3.8\n[options.extras_require]\n"
        "uvicorn =\n    uvicorn[standard]>=0.30\ntest =\n    uvicorn>=0.50\n    flask[async]>=3\n"
    )

    oldest = versions.oldest_versions(setup)

    assert oldest == {"asgiref": "3.8", "uvicorn": "0.30", "flask": "3"}


def test_every_package_of_the_table_is_a_requirement(versions: ModuleType) -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", "utf-8")

    assert set(versions.PACKAGES.values()) - set(versions.oldest_versions(setup)) == set()


def test_the_real_noxfile_has_the_sessions_of_the_table(versions: ModuleType) -> None:
    sessions = list(versions.sessions_of((ROOT / "noxfile.py").read_text("utf-8")))
    pinned = {name for each in sessions for name in each.parameters}

    assert versions.python_rows(sessions)[0][1].startswith("`tests`, `core`")
    assert {"django", "asgiref", "gunicorn"} <= pinned <= set(versions.PACKAGES.values())
