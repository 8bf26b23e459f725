"""D303: ATOMIC_REQUESTS with an async view."""

from __future__ import annotations

from bridge.migrate.facts import Facts, ViewFact
from tests.migrate.helpers import check_noop, check_transformed, findings

SITE = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n",
    "site/settings.py": "DATABASES = {'default': {'ATOMIC_REQUESTS': True}}\n",
    "shop/urls.py": "from django.urls import path\n\nfrom shop import views\n\n"
    "urlpatterns = [path('a', views.sync), path('b', views.dash), path('c', views.V.as_view())]\n",
}
PATH = "shop/views.py"
HEAD = "from django.db import models\n\n\n"
ASYNC = "async def dash(request):\n    pass\n"
CLASS = "class V(View):\n    async def get(self, request):\n        pass\n"
SYNC = "def sync(request):\n    pass\n"


def test_an_async_view_opts_out() -> None:
    check_transformed(
        "D303",
        HEAD + ASYNC + SYNC,
        "from django.db import models\nfrom django.db import transaction\n\n\n"
        "@transaction.non_atomic_requests\n" + ASYNC + SYNC,
        path=PATH,
        files=SITE,
        safe=False,
    )


def test_each_database_is_named() -> None:
    both = "DATABASES = {'default': {'ATOMIC_REQUESTS': True}, 'log': {'ATOMIC_REQUESTS': True}}\n"
    check_transformed(
        "D303",
        "from django.db import transaction\n\n\n" + ASYNC,
        "from django.db import transaction\n\n\n@transaction.non_atomic_requests\n"
        '@transaction.non_atomic_requests(using="log")\n' + ASYNC,
        path=PATH,
        files={**SITE, "site/settings.py": both},
        safe=False,
    )


def test_a_view_class_opts_out() -> None:
    check_transformed(
        "D303",
        HEAD + CLASS,
        "from django.db import models\nfrom django.db import transaction\n"
        "from django.utils.decorators import method_decorator\n\n\n"
        '@method_decorator(transaction.non_atomic_requests, name="dispatch")\n' + CLASS,
        path=PATH,
        files=SITE,
        safe=False,
    )


def test_views_that_are_told_to_be_async_are_found() -> None:
    facts = Facts(
        settings={"DATABASES": {"default": {"ATOMIC_REQUESTS": True}}},
        views=(
            ViewFact("b", "shop.views.dash", is_async=True),
            ViewFact("b2", "shop.views.dash", is_async=True),
            ViewFact("a", "shop.views.sync"),
            ViewFact("x", "elsewhere.view", is_async=True),
        ),
    )
    found = findings({**SITE, PATH: SYNC + ASYNC}, "D303", facts=facts)

    assert [(str(each.path), each.line) for each in found] == [(PATH, 3)]


def test_sync_views_are_left_alone() -> None:
    check_noop("D303", SYNC + "async def helper(request):\n    pass\n", path=PATH, files=SITE)


def test_without_the_setting_nothing_is_found() -> None:
    files = {**SITE, "site/settings.py": "DATABASES = {'default': {}}\n"}
    check_noop("D303", ASYNC, path=PATH, files=files)


def test_a_view_that_opted_out_is_left_alone() -> None:
    check_noop("D303", "@transaction.non_atomic_requests\n" + ASYNC, path=PATH, files=SITE)
    urls = "from django.db.transaction import non_atomic_requests\n" + SITE["shop/urls.py"]
    wrapped = {
        **SITE,
        "shop/urls.py": urls.replace("views.dash", "non_atomic_requests(views.dash)"),
    }
    check_noop("D303", ASYNC, path=PATH, files=wrapped)
    facts = Facts(
        settings={"DATABASES": {"default": {"ATOMIC_REQUESTS": True}}},
        views=(ViewFact("b", "shop.views.dash", is_async=True),),
    )
    check_noop("D303", ASYNC, path=PATH, files=wrapped, facts=facts)


def test_a_comment_suppresses_it() -> None:
    code = ASYNC.replace(":\n", ":  # bridge: ignore[D303] never routed\n", 1)
    check_noop("D303", code, path=PATH, files=SITE)
