"""T601: the tests use the sync Client only."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import findings, fixed

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
SITE = {"manage.py": MANAGE, "shop/settings.py": "DEBUG = True\n"}
SYNC = "class T(TestCase):\n    def test_a(self):\n        self.client.get('/')\n"


def test_a_smoke_test_is_added_next_to_the_others() -> None:
    files = {**SITE, "shop/tests/test_views.py": SYNC}

    after = fixed(files, "T601", unsafe=False)

    assert set(after) - set(files) == {"shop/tests/test_asgi.py"}
    assert "self.async_client.get" in after["shop/tests/test_asgi.py"]


def test_no_fix_for_target_bridge() -> None:
    files = {**SITE, "shop/tests/test_views.py": SYNC}
    [found] = findings(files, "T601", target="bridge")

    assert found.help == "add a test that uses AsyncClient, for async views"
    assert fixed(files, "T601", target="bridge") == files


def test_it_is_found_where_the_client_is_used() -> None:
    (found,) = findings({**SITE, "shop/tests.py": SYNC}, "T601")

    assert (str(found.path), found.line) == ("shop/tests.py", 3)


@pytest.mark.parametrize("word", ["AsyncClient()", "self.async_client.get('/')", "ASGITransport"])
def test_any_test_through_asgi_is_enough(word: str) -> None:
    files = {**SITE, "shop/tests.py": SYNC, "shop/test_more.py": f"{word}\n"}

    assert findings(files, "T601") == []


def test_a_project_without_tests_is_ignored() -> None:
    assert findings({**SITE, "shop/views.py": "self.client.get('/')\n"}, "T601") == []
