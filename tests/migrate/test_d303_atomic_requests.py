"""D303: ATOMIC_REQUESTS with an async view."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.migrate.facts import Facts, ViewFact
from bridge.migrate.introspect import IntrospectionFailed, introspect
from bridge.migrate.project import open_project
from bridge.migrate.rule import select_rules
from bridge.migrate.runner import check
from tests.migrate.helpers import check_noop, check_transformed, findings, project_of

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


def test_an_async_view_is_decorated() -> None:
    check_transformed(
        "D303",
        HEAD + ASYNC + SYNC,
        "from django.db import models\nfrom django.db import transaction\n\n\n"
        "@transaction.non_atomic_requests\n" + ASYNC + SYNC,
        path=PATH,
        files=SITE,
        safe=False,
    )


def test_each_database_gets_a_decorator() -> None:
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


def test_a_view_class_is_decorated() -> None:
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


def test_async_views_found_by_introspection_are_reported() -> None:
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


def test_sync_views_are_ignored() -> None:
    check_noop("D303", SYNC + "async def helper(request):\n    pass\n", path=PATH, files=SITE)


def test_without_the_setting_nothing_is_found() -> None:
    files = {**SITE, "site/settings.py": "DATABASES = {'default': {}}\n"}
    check_noop("D303", ASYNC, path=PATH, files=files)


def test_a_view_that_has_opted_out_is_ignored() -> None:
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


# -- views found by introspection ------------------------------------------------------------------

MADE = (
    "from django.db import transaction\n\n\ndef make():\n    async def made(request):\n"
    "        pass\n\n    return made\n\n\ndef make_out():\n"
    "    @transaction.non_atomic_requests\n    async def out(request):\n        pass\n\n"
    "    return out\n"
)
ON_PATH = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings')\n",
    "config/settings.py": (
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3',"
        " 'ATOMIC_REQUESTS': True}}\nROOT_URLCONF = 'config.urls'\n"
    ),
    "config/urls.py": (
        "from django.urls import path\n\nfrom shop import views\n"
        "from shop.made import make, make_out\n\n"
        "urlpatterns = [path('a', views.dash), path('b', make()), path('c', make_out())]\n"
    ),
    "apps/shop/__init__.py": "",
    "apps/shop/views.py": ASYNC,
    "apps/shop/made.py": MADE,
}


def written(folder: Path) -> Path:
    for name, text in ON_PATH.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_introspection_finds_views_in_a_folder_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "apps", prepend=":")
    project = open_project(written(tmp_path))
    found = check(project.with_facts(introspect(project)), select_rules(["D303"])).findings

    places = {(project.relative(each.path), each.line, each.fix is None) for each in found}
    assert places == {("apps/shop/views.py", 1, False), ("apps/shop/made.py", 5, True)}


def test_the_sources_alone_show_views_in_a_folder_on_the_path() -> None:
    with project_of(ON_PATH) as project:
        found = check(project, select_rules(["D303"])).findings

        assert [project.relative(each.path) for each in found] == ["apps/shop/views.py"]


def test_a_folder_missing_from_the_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(IntrospectionFailed, match="add the folder to PYTHONPATH"):
        introspect(open_project(written(tmp_path)))


def test_an_ambiguous_module_name_is_not_resolved() -> None:
    files = {**ON_PATH, "plugins/shop/__init__.py": "", "plugins/shop/views.py": SYNC}
    with project_of(files) as project:
        assert project.module("shop.views") is None
        assert project.module("shop.made") is not None
        assert project.module("apps.shop.views") is not None
