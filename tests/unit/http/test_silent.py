"""A SilentMapping is used like a dict, and prints nothing of it."""

from __future__ import annotations

import copy
import pprint
from collections.abc import Mapping
from typing import Any

import pytest

from bridge._http.silent import SilentMapping, revealed


@pytest.fixture
def scope() -> dict[str, Any]:
    return {"type": "http", "headers": [(b"cookie", b"id=secret")]}


@pytest.fixture
def silent(scope: dict[str, Any]) -> SilentMapping:
    made = SilentMapping()
    made.mapping = scope
    return made


def test_it_is_read_like_a_dict(silent: SilentMapping, scope: dict[str, Any]) -> None:
    assert silent["type"] == "http"
    assert silent.get("type") == "http"
    assert silent.get("path", "/") == "/"
    assert "headers" in silent
    assert "path" not in silent
    assert len(silent) == 2
    assert [*silent] == [*silent.keys()] == ["type", "headers"]
    assert [*silent.items()] == [*scope.items()]
    assert [*silent.values()] == [*scope.values()]
    assert [*reversed(silent)] == ["headers", "type"]
    assert silent == scope
    assert silent != {}
    with pytest.raises(KeyError, match="path"):
        silent["path"]


def test_it_becomes_a_dict(silent: SilentMapping, scope: dict[str, Any]) -> None:
    made: Any
    for made in (
        dict(silent),
        {**silent},
        silent.copy(),
        copy.copy(silent),
        silent | {},
        {} | silent,
    ):
        assert type(made) is dict
        assert made == scope
        assert made is not scope
    assert silent | {"type": "websocket"} == {**scope, "type": "websocket"}
    assert {"type": "websocket"} | silent == scope


def test_changing_it_changes_the_mapping(silent: SilentMapping, scope: dict[str, Any]) -> None:
    silent["user"] = "ann"
    del silent["type"]
    silent.update({"path": "/"})
    assert silent.setdefault("path", "/other") == "/"
    assert silent.pop("headers") == [(b"cookie", b"id=secret")]
    assert silent.pop("headers", None) is None

    assert scope == {"user": "ann", "path": "/"}

    before = silent
    silent |= {"type": "http"}
    assert silent is before
    assert silent.popitem() == ("type", "http")
    assert scope == {"user": "ann", "path": "/"}
    silent.clear()
    assert scope == {}


def test_it_prints_no_value(silent: SilentMapping) -> None:
    for text in (repr(silent), str(silent), f"{silent}", pprint.pformat({"asgi.scope": silent})):
        assert "secret" not in text
        assert "SilentMapping" in text


def test_nothing_takes_it_for_a_mapping(silent: SilentMapping) -> None:
    assert not isinstance(silent, (dict, Mapping))


def test_a_change_of_a_copy_does_not_change_the_mapping(
    silent: SilentMapping, scope: dict[str, Any]
) -> None:
    before = copy.deepcopy(scope)
    copy.copy(silent)["type"] = copy.deepcopy(silent)["type"] = "websocket"
    copy.deepcopy(silent)["headers"].clear()
    assert scope == before
    deep = copy.deepcopy(silent)
    assert deep == silent
    assert deep.mapping is not scope


def test_the_mapping_is_revealed(silent: SilentMapping, scope: dict[str, Any]) -> None:
    assert revealed(silent) is scope
    assert revealed(scope) is scope
    assert revealed(None) is None
