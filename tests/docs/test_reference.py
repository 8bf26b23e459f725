"""The documentation lists what exists: public names, environ keys, extras, tests, errors."""

from __future__ import annotations

import inspect
import re
from configparser import ConfigParser
from pathlib import Path

import pytest

import bridge
from bridge._http import scope_to_environ
from bridge.wsgi_to_asgi import loop_side
from tests.docs.blocks import ROOT, pages

DOCS = ROOT / "docs"
NOT_FOR_USERS = {"demo", "test", "dev", "docs"}


def reference() -> str:
    return "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))


def test_every_public_name_is_in_the_reference() -> None:
    text = reference()
    documented = set(re.findall(r"^\.\. auto\w+:: (?:bridge\.)?(\w+)\b", text, re.MULTILINE))

    assert set(bridge.__all__) - documented == {"__version__"}


def test_handwritten_signatures_are_the_real_ones() -> None:
    """The reference writes out the signature of a function with overloads, for readability."""
    written = re.findall(r"^\.\. autofunction:: (\w+)(\(.*\))$", reference(), re.MULTILINE)

    assert written
    assert [(name, text) for name, text in written if text != plain_signature(name)] == []


def plain_signature(name: str) -> str:
    """The signature without its annotations."""
    signature = inspect.signature(getattr(bridge, name))
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def test_every_key_of_the_environ_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "environ.md").read_text("utf-8")
    source = inspect.getsource(scope_to_environ) + inspect.getsource(loop_side)
    keys = set(re.findall(r'environ\["([\w.]+)"\]', source))
    keys |= set(re.findall(r'^ +"([\w.]+)":', source, re.MULTILINE))

    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_every_extra_is_in_the_table() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    index = (DOCS / "index.md").read_text("utf-8")

    extras = set(setup["options.extras_require"]) - NOT_FOR_USERS
    assert {name for name in extras if f"| `{name}` |" not in index} == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_on_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    paths = re.findall(r"`((?:tests|docs|examples|benchmarks)/[\w./-]*)`", text)
    named = re.findall(r"`(?:[\w/]+/)?(test_\w+\.py)`", text)

    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [name for name in named if name not in tests] == []


def test_guarantees_name_the_test_of_every_promise() -> None:
    page = (DOCS / "explanation" / "guarantees.md").read_text("utf-8")
    promises = (ROOT / "tests").rglob("test_p[0-9][0-9]_*.py")
    tests = [str(path.relative_to(ROOT)) for path in promises]

    assert tests
    assert [test for test in tests if f"`{test}`" not in page] == []


def test_every_attack_has_a_test() -> None:
    page = (DOCS / "explanation" / "security.md").read_text("utf-8")
    entries = re.findall(r"^### (.+)\n((?:(?!^##).*\n)*)", page, re.MULTILINE)
    table = re.findall(r"^\| \[(.+?)\]\(#", page, re.MULTILINE)

    assert sorted(title for title, _ in entries) == sorted(table)
    assert [title for title, text in entries if "\nTest: `tests/" not in text] == []


def test_every_error_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "errors.md").read_text("utf-8")
    errors = [
        name
        for name in bridge.__all__
        if inspect.isclass(getattr(bridge, name))
        and issubclass(getattr(bridge, name), bridge.BridgeError)
    ]

    assert errors
    assert [name for name in errors if f":: {name}\n" not in text] == []
