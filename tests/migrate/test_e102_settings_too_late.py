"""E102: the application is made before DJANGO_SETTINGS_MODULE is set."""

from __future__ import annotations

import pytest

from tests.migrate.helpers import check_noop, check_transformed

PATH = "shop/asgi.py"
IMPORTS = "import os\n\nfrom django.core.asgi import get_asgi_application\n\n"
SET = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")'


def test_the_right_order_is_ignored() -> None:
    check_noop("E102", f"{IMPORTS}{SET}\n\napplication = get_asgi_application()\n", path=PATH)


def test_a_module_without_the_variable_is_ignored() -> None:
    check_noop("E102", f"{IMPORTS}application = get_asgi_application()\n", path=PATH)


def test_another_function_of_that_name_is_ignored() -> None:
    text = f"import os\nfrom shop import get_asgi_application\nget_asgi_application()\n{SET}\n"
    check_noop("E102", text, path=PATH)


def test_the_variable_is_set_first() -> None:
    check_transformed(
        "E102",
        f"{IMPORTS}application = get_asgi_application()\n{SET}  # production\nx = 1\n",
        f"{IMPORTS}{SET}  # production\napplication = get_asgi_application()\nx = 1\n",
        path=PATH,
    )


def test_an_assignment_is_moved_with_the_import_it_needs() -> None:
    setting = 'os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"\n'
    check_transformed(
        "E102",
        "from django.core.wsgi import get_wsgi_application\n"
        f"application = get_wsgi_application()\nimport os\n{setting}",
        "from django.core.wsgi import get_wsgi_application\n"
        f"import os\n\n{setting}application = get_wsgi_application()\nimport os\n",
        path="shop/wsgi.py",
    )


def test_a_statement_of_several_lines_is_moved_whole() -> None:
    long = 'os.environ.setdefault(\n    "DJANGO_SETTINGS_MODULE",\n    "shop.settings",\n)\n'
    check_transformed(
        "E102",
        f"{IMPORTS}application = Wrap(\n    get_asgi_application()\n)\n{long}",
        f"{IMPORTS}{long}application = Wrap(\n    get_asgi_application()\n)\n",
        path=PATH,
    )


@pytest.mark.parametrize(
    "between",
    [
        'STAGE = os.environ.get("STAGE", "settings")\n',
        "from shop.stage import STAGE\n",
        "for STAGE in ():\n    pass\n",
    ],
)
def test_no_fix_where_a_name_in_it_is_bound_in_between(between: str) -> None:
    setting = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", str(STAGE))\n'
    application = "application = get_asgi_application()\n"
    text = f"{IMPORTS}{application}{between}{setting}"
    after = f"{IMPORTS}{between}{setting}{application}"

    check_transformed("E102", text, text, path=PATH)
    check_transformed("E102", f"{IMPORTS}{between}{application}{setting}", after, path=PATH)


def test_the_import_is_added_only_where_the_setting_needs_it() -> None:
    imports = "from os import environ\nfrom django.core.asgi import get_asgi_application\n"
    setting = 'environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"\n'
    application = "application = get_asgi_application()\n"
    late = imports.partition("\n")[2] + application + imports.partition("\n")[0] + "\n" + setting

    check_transformed(
        "E102", imports + application + setting, imports + setting + application, path=PATH
    )
    check_transformed("E102", late, late, path=PATH)


def test_no_fix_for_a_setting_in_a_branch() -> None:
    text = f"{IMPORTS}application = get_asgi_application()\nif True:\n    {SET}\n"
    check_transformed("E102", text, text, path=PATH, safe=True)
