"""A802: asgiref's WsgiToAsgi."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, check_transformed, findings


@pytest.mark.parametrize("arguments", ["app", "app, duplicate_header_limit=50"])
def test_only_the_import_changes(arguments: str) -> None:
    check_transformed(
        "A802",
        f"from asgiref.wsgi import WsgiToAsgi\n\nasgi_app = WsgiToAsgi({arguments})\n",
        f"from bridge import WsgiToAsgi\n\nasgi_app = WsgiToAsgi({arguments})\n",
    )


def test_other_imports_and_arguments_are_rewritten() -> None:
    check_transformed(
        "A802",
        "import asgiref.wsgi\n\nasgi_app = asgiref.wsgi.WsgiToAsgi(wsgi_application=app)\n",
        "import asgiref.wsgi\nfrom bridge import WsgiToAsgi\n\nasgi_app = WsgiToAsgi(app)\n",
    )
    check_transformed(
        "A802",
        "from asgiref.wsgi import WsgiToAsgi as Wrap\n\nasgi_app = Wrap(app, 50)\n",
        "from bridge import WsgiToAsgi\n\nasgi_app = WsgiToAsgi(app, duplicate_header_limit=50)\n",
    )


def test_no_fix_where_the_class_is_subclassed() -> None:
    code = (
        "from asgiref.wsgi import WsgiToAsgi\n\na = WsgiToAsgi(app)\n\n\n"
        "class Mine(WsgiToAsgi):\n    pass\n"
    )
    found = findings({"main.py": code}, "A802")

    assert [(each.line, each.fix) for each in found] == [(3, None), (6, None)]


def test_the_adapter_of_bridge_is_ignored() -> None:
    check_noop("A802", "import asgiref\nfrom bridge import WsgiToAsgi\n\na = WsgiToAsgi(app)\n")


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "A802",
        "from asgiref.wsgi import WsgiToAsgi\n\n"
        "a = WsgiToAsgi(app)  # bridge: ignore[A802] one request at a time is meant\n",
    )
