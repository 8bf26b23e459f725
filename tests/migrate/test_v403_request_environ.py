"""V403: request.environ."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, check_transformed, findings

HEAD = "from django.http import HttpResponse\n\n\n"


def test_it_is_replaced_by_meta() -> None:
    before = HEAD + "def view(request):\n    return request.environ['REMOTE_ADDR']\n"
    check_transformed("V403", before, before.replace("environ", "META"))


def test_the_request_of_a_view_class_is_found() -> None:
    before = (
        HEAD
        + "class V(View):\n    def get(self, r):\n        return self.request.environ.get('x')\n"
    )
    check_transformed("V403", before, before.replace("environ", "META"))


def test_a_check_for_another_attribute_does_not_count() -> None:
    before = HEAD + "def f(request):\n    hasattr(request, 'shop')\n    request.environ['x']\n"
    check_transformed("V403", before, before.replace("environ", "META"))


def test_sync_views_are_ignored_for_bridge() -> None:
    check_noop("V403", HEAD + "def view(request):\n    request.environ\n", target="bridge")


def test_async_views_are_errors_for_bridge() -> None:
    code = HEAD + "async def view(request):\n    request.environ\n"
    found = findings({"shop/code.py": code}, "V403", target="bridge")

    assert [each.bridge for each in found] == [Severity.ERROR]


@pytest.mark.parametrize(
    "code",
    [
        "from flask import request\n\n\ndef view():\n    return request.environ['x']\n",
        "from flask import Flask\n" + HEAD + "def view(request):\n    return request.environ\n",
        HEAD + "def f(request):\n    if hasattr(request, 'environ'):\n        request.environ\n",
        HEAD + "def f(request):\n    try:\n        request.environ\n"
        "    except AttributeError:\n        pass\n",
        HEAD + "import os\n\n\ndef f(request):\n    return os.environ['x']\n",
        HEAD + "request = object()\nrequest.environ\n",
        HEAD + "def f(request):\n    request.environ  # bridge: ignore[V403] never under ASGI\n",
    ],
)
def test_other_code_is_ignored(code: str) -> None:
    check_noop("V403", code)
