"""F707: async views in Flask."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings

CODE = "F707"
HEAD = "from flask import Flask\n\napp = Flask(__name__)\n\n\n"


@pytest.mark.parametrize("route", ['app.route("/")', 'app.get("/")', 'bp.post("/x")'])
def test_an_async_view_is_found(route: str) -> None:
    [found] = findings({"shop/code.py": f"{HEAD}@{route}\nasync def view():\n    ...\n"}, CODE)

    assert found.line == 7
    assert found.bridge is Severity.INFO


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}@app.get('/')\ndef view():\n    ...\n",
        f"{HEAD}async def helper():\n    ...\n",
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/')\nasync def v(): ...\n",
    ],
)
def test_other_functions_are_ignored(text: str) -> None:
    check_noop(CODE, text)


def test_a_comment_suppresses_it() -> None:
    text = f"{HEAD}@app.get('/')\nasync def view():  # bridge: ignore[F707]\n    ...\n"
    check_noop(CODE, text)
