"""V402: FileResponse and WhiteNoise."""

from __future__ import annotations

from bridge.migrate.facts import Facts, MiddlewareFact
from tests.migrate.helpers import check_noop, findings

VIEW = (
    "from django.http import FileResponse\n\n\n"
    "def view(request):\n    return FileResponse(open('a', 'rb'))"
)
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
SITE = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n",
    "site/settings.py": f"MIDDLEWARE = [\n    '{WHITENOISE}',\n]\n",
}


def test_a_file_response_is_found() -> None:
    assert [each.line for each in findings({"shop/views.py": VIEW + "\n"}, "V402")] == [5]


def test_nothing_is_found_for_bridge() -> None:
    check_noop("V402", VIEW + "\n", target="bridge")
    assert findings(SITE, "V402", target="bridge") == []


def test_white_noise_is_found_in_the_settings() -> None:
    found = findings(SITE, "V402")

    assert [(str(each.path), each.line) for each in found] == [("site/settings.py", 2)]


def test_async_capable_white_noise_is_ignored() -> None:
    facts = Facts(
        settings={"MIDDLEWARE": [WHITENOISE]},
        middleware=(MiddlewareFact(WHITENOISE, async_capable=True),),
    )

    assert findings(SITE, "V402", facts=facts) == []


def test_other_responses_and_tests_are_ignored() -> None:
    check_noop("V402", "from shop import FileResponse\n\nFileResponse(1)\n")
    check_noop("V402", VIEW + "\n", path="shop/tests/test_views.py")


def test_a_comment_suppresses_it() -> None:
    check_noop("V402", VIEW + "  # bridge: ignore[V402] small\n")
