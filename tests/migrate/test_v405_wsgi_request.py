"""V405: isinstance(request, WSGIRequest)."""

from __future__ import annotations

from tests.migrate.helpers import check_noop, check_transformed

HEAD = "from django.core.handlers.wsgi import WSGIRequest\n\n\n"
USE = "def f(request):\n    return isinstance(request, WSGIRequest)\n"


def test_the_class_and_its_import_are_replaced() -> None:
    check_transformed(
        "V405",
        HEAD + USE,
        "from django.http import HttpRequest\n\n\n" + USE.replace("WSGIRequest", "HttpRequest"),
    )


def test_an_import_with_other_uses_is_kept() -> None:
    other = "\n\ndef g(request: WSGIRequest):\n    pass\n"
    check_transformed(
        "V405",
        HEAD + USE + other,
        HEAD.replace("\n\n\n", "\nfrom django.http import HttpRequest\n\n\n")
        + USE.replace("WSGIRequest", "HttpRequest")
        + other,
    )


def test_one_of_several_classes_is_replaced() -> None:
    head = "from django.core.handlers import wsgi\nfrom django.http import HttpRequest\n\n\n"
    use = "def f(request):\n    return isinstance(request, (dict, {}))\n"
    check_transformed(
        "V405", head + use.format("wsgi.WSGIRequest"), head + use.format("HttpRequest")
    )


def test_code_that_handles_both_is_ignored() -> None:
    check_noop(
        "V405",
        "from django.core.handlers.asgi import ASGIRequest\n"
        + HEAD
        + "def f(request):\n    return isinstance(request, (WSGIRequest, ASGIRequest))\n",
    )


def test_annotations_and_other_classes_are_ignored() -> None:
    check_noop("V405", HEAD + "def f(request: WSGIRequest):\n    return isinstance(request, str)\n")


def test_a_comment_suppresses_it() -> None:
    check_noop("V405", HEAD + USE.replace("WSGIRequest)", "WSGIRequest)  # bridge: ignore[V405]"))
