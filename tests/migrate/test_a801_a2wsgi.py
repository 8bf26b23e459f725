"""A801: a2wsgi's adapters."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, check_transformed, findings, fixed

HEAD = "from a2wsgi import {}\n\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("flask_app", "flask_app"),
        ("app=flask_app", "flask_app"),
        ("flask_app, workers=20", "flask_app, threads=20"),
        ("flask_app, 20, 5", "flask_app, threads=20"),
        ("flask_app, send_queue_size=5", "flask_app"),
    ],
)
def test_a_wsgi_app_is_wrapped_in_wsgi_to_asgi(before: str, after: str) -> None:
    check_transformed(
        "A801",
        HEAD.format("WSGIMiddleware") + f"app.mount('/x', WSGIMiddleware({before}))\n",
        f"from bridge import WsgiToAsgi\n\napp.mount('/x', WsgiToAsgi({after}))\n",
    )


def test_an_asgi_app_is_wrapped_in_asgi_to_wsgi() -> None:
    check_transformed(
        "A801",
        HEAD.format("ASGIMiddleware") + "application = ASGIMiddleware(app, wait_time=5)\n",
        "from bridge import AsgiToWsgi\n\napplication = AsgiToWsgi(app)\n",
    )


def test_lines_and_comments_between_arguments_are_kept() -> None:
    check_transformed(
        "A801",
        HEAD.format("WSGIMiddleware")
        + "app = WSGIMiddleware(\n    (flask_app),\n    # more than 20 exhaust the database\n"
        "    workers=(20),  # measured\n    send_queue_size=5,  # chunks\n)\n",
        "from bridge import WsgiToAsgi\n\n"
        "app = WsgiToAsgi(\n    (flask_app),\n    # more than 20 exhaust the database\n"
        "    threads=(20),  # measured\n)\n",
    )
    check_transformed(
        "A801",
        HEAD.format("WSGIMiddleware")
        + "app = WSGIMiddleware(app=flask_app, send_queue_size=5,\n    workers = 20)\n",
        "from bridge import WsgiToAsgi\n\napp = WsgiToAsgi(flask_app,\n    threads=20)\n",
    )


def test_no_fix_where_a_comment_precedes_the_removed_argument() -> None:
    code = "a = WSGIMiddleware(app,  # ours\n    send_queue_size=5, workers=2)\n"
    [found] = findings({"main.py": HEAD.format("WSGIMiddleware") + code}, "A801")

    assert found.fix is None


def test_each_call_of_a_module_is_replaced() -> None:
    check_transformed(
        "A801",
        "import a2wsgi\n\na = a2wsgi.WSGIMiddleware(x)\nb = a2wsgi.ASGIMiddleware(y)\n",
        "import a2wsgi\nfrom bridge import WsgiToAsgi\nfrom bridge import AsgiToWsgi\n\n"
        "a = WsgiToAsgi(x)\nb = AsgiToWsgi(y)\n",
    )
    check_transformed(
        "A801",
        HEAD.format("WSGIMiddleware") + "a = WSGIMiddleware(x)\nb = WSGIMiddleware(y)\n",
        "from bridge import WsgiToAsgi\n\na = WsgiToAsgi(x)\nb = WsgiToAsgi(y)\n",
    )


def test_bridge_is_added_to_the_requirements() -> None:
    code = HEAD.format("WSGIMiddleware") + "a = WSGIMiddleware(x)\nb = WSGIMiddleware(y)\n"
    result = fixed({"main.py": code, "requirements.txt": "a2wsgi==1.10\nflask\n"}, "A801")

    assert result["requirements.txt"] == "wsgi-asgi-bridge\na2wsgi==1.10\nflask\n"


def test_no_fix_for_an_option_without_counterpart() -> None:
    for call in ("ASGIMiddleware(app, loop=loop)", "ASGIMiddleware(app, **options)"):
        found = findings({"main.py": HEAD.format("ASGIMiddleware") + f"a = {call}\n"}, "A801")
        assert [(each.line, each.fix) for each in found] == [(3, None)]


def test_a_subclass_is_found_and_keeps_the_import() -> None:
    before = HEAD.format("WSGIMiddleware") + (
        "a = WSGIMiddleware(x)\n\n\nclass Mine(WSGIMiddleware):\n    pass\n"
    )
    after = before.replace("a = WSGIMiddleware", "a = WsgiToAsgi").replace(
        "\n\na", "\nfrom bridge import WsgiToAsgi\n\na"
    )
    check_transformed("A801", before, after)


def test_a_suppressed_use_keeps_the_import() -> None:
    before = HEAD.format("WSGIMiddleware") + (
        "a = WSGIMiddleware(x)\nb = WSGIMiddleware(y)  # bridge: ignore[A801] for comparison\n"
    )
    after = before.replace("a = WSGIMiddleware", "a = WsgiToAsgi").replace(
        "\n\na", "\nfrom bridge import WsgiToAsgi\n\na"
    )
    check_transformed("A801", before, after)


def test_other_names_are_ignored() -> None:
    check_noop("A801", "from shop.a2wsgi import WSGIMiddleware\n\na = WSGIMiddleware(x)\n")
    check_noop("A801", "import a2wsgi\n\nprint(a2wsgi.__version__)\n")


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "A801",
        HEAD.format("WSGIMiddleware") + "a = WSGIMiddleware(x)  # bridge: ignore[A801] compared\n",
    )
