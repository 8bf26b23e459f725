"""What an index shows of the package, and whom it names."""

from __future__ import annotations

from configparser import ConfigParser

from tests.harness.servers import ROOT


def metadata() -> dict[str, str]:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", "utf-8")
    return dict(setup["metadata"])


def test_the_authors_are_those_of_the_licence() -> None:
    assert f"Copyright (c) 2026 {metadata()['author']}\n" in (ROOT / "LICENSE").read_text("utf-8")


def test_the_docs_name_the_same_authors() -> None:
    conf = (ROOT / "docs" / "conf.py").read_text("utf-8")

    assert f'author = "{metadata()["author"]}"\n' in conf
