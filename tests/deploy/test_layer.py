"""The channel layer of the site, without its Redis."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.harness.ports import HOST, held_port, port_of
from tests.harness.servers import ROOT


def test_a_group_that_could_not_be_joined_is_not_joined_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its WebSocket was refused: while Redis is away, clients try again and again."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy" / "site"))
    from layer import ERRORS, LastingLayer  # type: ignore[import-not-found]  # not installed

    monkeypatch.delitem(sys.modules, "layer")
    with held_port() as refuses:
        layer = LastingLayer(hosts=[f"redis://{HOST}:{port_of(refuses)}/0"])
        with pytest.raises(ERRORS):
            asyncio.run(layer.group_add("notices", "specific.a!b"))

    assert not layer._joined
