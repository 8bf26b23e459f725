"""F705: before_first_request."""

from __future__ import annotations

from pathlib import Path

import flask
import pytest

from tests.migrate.helpers import check_noop, check_transformed, findings, fixed

CODE = "F705"
HEAD = "from flask import Flask\n\napp = Flask(__name__)\n\n\n"


def test_the_function_is_called_at_import() -> None:
    check_transformed(
        CODE,
        f"{HEAD}@app.before_first_request\ndef warm():\n    app.warm = True  # now\n\n\n"
        '@app.get("/")\ndef index():\n    return "hi"\n',
        f"{HEAD}def warm():\n    app.warm = True  # now\n\n\n"
        '@app.get("/")\ndef index():\n    return "hi"\n\n\n'
        "with app.app_context():\n    warm()\n",
        safe=False,
    )


@pytest.mark.parametrize(
    "end", ["", 'if __name__ == "__main__":\n    app.run()\n', "app.run(debug=True)\n"]
)
def test_the_call_follows_all_definitions(end: str) -> None:
    warm = "{}def warm():\n    load(DATA)\n\n\n{}def again():\n    load(DATA)\n\n\n"
    rest = "def load(data):\n    app.loaded = data\n\n\nDATA = [1]\n"
    calls = "with app.app_context():\n    {}()\n"
    mark, gap = "@app.before_first_request\n", "\n\n"
    first, second = calls.format("warm"), calls.format("again")
    called = f"{first}{gap}{second}{gap}{end}" if end else f"{gap}{first}{gap}{second}"

    check_transformed(
        CODE,
        HEAD + warm.format(mark, mark) + rest + end,
        HEAD + warm.format("", "") + rest + called,
        safe=False,
    )


@pytest.mark.parametrize(
    "rest",
    [
        "app.before_first_request(warm)\n",
        "@bp.before_app_first_request\ndef warm():\n    pass\n",
        "@app.before_first_request\n@login\ndef warm():\n    pass\n",
        "def make():\n    @app.before_first_request\n    def warm():\n        pass\n",
    ],
)
def test_no_fix_for_other_forms(rest: str) -> None:
    files = {"shop/code.py": HEAD + rest}
    [found] = findings(files, CODE)

    assert found.fix is None
    assert fixed(files, CODE) == files


def test_other_frameworks_are_ignored() -> None:
    check_noop(CODE, "from quart import Quart\n\n@app.before_first_request\ndef f():\n    pass\n")


def test_a_comment_suppresses_it() -> None:
    text = f"{HEAD}@app.before_first_request  # bridge: ignore[F705]\ndef f():\n    pass\n"
    check_noop(CODE, text)


def test_flask_confirms_the_severity(tmp_path: Path) -> None:
    """Flask 3 has no such decorator; what the fix makes of it runs."""
    before = f"{HEAD}@app.before_first_request\ndef warm():\n    app.warm = True\n"
    namespace: dict[str, object] = {"__name__": "shop"}
    with pytest.raises(AttributeError, match="before_first_request"):
        exec(before, {"__name__": "shop"})
    exec(fixed({"shop.py": before}, CODE)["shop.py"], namespace)

    app = namespace["app"]
    assert isinstance(app, flask.Flask)
    assert vars(app)["warm"] is True
