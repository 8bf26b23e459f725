"""E103, E104, E105, E106: the modules that servers import, and their options."""

from __future__ import annotations

import pytest

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, check_transformed, findings, fixed

HEAD = "from django.core.asgi import get_asgi_application\n"
MANAGE = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
}
ASGI = {"shop/asgi.py": f"{HEAD}application = get_asgi_application()\n"}


# -- E103 ------------------------------------------------------------------------------------------


def test_one_call_is_ignored() -> None:
    check_noop("E103", f"{HEAD}app = get_asgi_application()\n")


def test_the_second_call_is_found() -> None:
    text = f"{HEAD}a = get_asgi_application()\nb = Router(get_asgi_application())\n"

    found = findings({"shop/asgi.py": text}, "E103")

    assert [(each.line, each.native) for each in found] == [(3, Severity.INFO)]


def test_a_call_in_a_function_is_ignored() -> None:
    text = f"{HEAD}a = get_asgi_application()\ndef test():\n    return get_asgi_application()\n"
    check_noop("E103", text)


def test_one_call_of_each_factory_is_ignored() -> None:
    text = HEAD + "from django.core.wsgi import get_wsgi_application\n"
    check_noop("E103", f"{text}a = get_asgi_application()\nb = get_wsgi_application()\n")


# -- E104 ------------------------------------------------------------------------------------------

WSGI_HEAD = "from django.core.wsgi import get_wsgi_application\n"


def test_an_unwrapped_application_is_ignored() -> None:
    check_noop("E104", f"{WSGI_HEAD}application = get_wsgi_application()\n")


@pytest.mark.parametrize(
    "line",
    [
        "application = Wrap(get_wsgi_application())",
        "application = get_wsgi_application()\napplication = Wrap(application, x_for=1)",
        "django_app = get_wsgi_application()\napplication = Wrap(django_app)",
    ],
)
def test_wsgi_middleware_is_found(line: str) -> None:
    (found,) = findings({"shop/wsgi.py": f"{WSGI_HEAD}{line}\n"}, "E104")

    assert (found.native, found.bridge) == (Severity.ERROR, Severity.INFO)
    assert "Wrap(" in found.message


def test_a_comment_suppresses_wsgi_middleware() -> None:
    check_noop(
        "E104",
        WSGI_HEAD
        + "# bridge: ignore[E104] metrics only\napplication = W(get_wsgi_application())\n",
    )


# -- E105 ------------------------------------------------------------------------------------------


def settings(*apps: str, more: str = "") -> str:
    lines = "".join(f'    "{app}",\n' for app in apps)
    return f"DEBUG = True\nINSTALLED_APPS = [\n{lines}]\n{more}"


STATIC = "django.contrib.staticfiles"
NAMED = '\nASGI_APPLICATION = "shop.asgi.application"\n'


@pytest.mark.parametrize(
    "text",
    [
        settings(STATIC),
        settings("daphne", STATIC, more=NAMED),
        settings(STATIC, "channels", more=NAMED),
        settings("channels", more="ASGI_APPLICATION = name()\n"),
    ],
)
def test_a_correct_configuration_is_ignored(text: str) -> None:
    if "name()" in text:
        text = text.replace("name()", '"shop.asgi." + "application"')
    check_noop("E105", text, path="shop/settings.py", files={**MANAGE, **ASGI})


def test_asgi_application_is_set_where_a_module_has_one() -> None:
    check_transformed(
        "E105",
        settings("channels", STATIC),
        settings("channels", STATIC, more=NAMED),
        path="shop/settings.py",
        files={**MANAGE, **ASGI},
    )


def test_daphne_is_moved_first_with_its_comment() -> None:
    before = settings("shop", STATIC, more=NAMED).replace("]", '    "daphne"  # the server\n]')
    after = settings("shop", STATIC, more=NAMED).replace(
        "[\n", '[\n    "daphne",  # the server\n', 1
    )
    check_transformed("E105", before, after, path="shop/settings.py", files={**MANAGE, **ASGI})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'["shop", "{STATIC}", "daphne"]', f'["daphne", "shop", "{STATIC}"]'),
        (f"('{STATIC}', 'daphne', )", f"('daphne', '{STATIC}', )"),
        (
            f'["shop",  # ours\n  "{STATIC}",\n  "daphne"]',
            None,  # the comment would be moved
        ),
        (
            f'["shop",\n  "{STATIC}",\n  "daphne"]',
            f'["daphne",\n  "shop",\n  "{STATIC}"]',
        ),
        (
            f'[\n    "shop",\n    "{STATIC}",\n    "daphne"]',
            f'[\n    "daphne",\n    "shop",\n    "{STATIC}"]',
        ),
        (
            f'["{STATIC}",\n  "daphne",\n  "shop",\n]',
            f'["daphne",\n  "{STATIC}",\n  "shop",\n]',
        ),
    ],
)
def test_daphne_is_moved_first_within_shared_lines(before: str, after: str | None) -> None:
    site = {**MANAGE, **ASGI, "shop/settings.py": f"INSTALLED_APPS = {before}\n{NAMED}"}

    wanted = f"INSTALLED_APPS = {after or before}\n{NAMED}"
    assert fixed(site, "E105")["shop/settings.py"] == wanted


def test_asgi_application_is_set_in_the_block_of_the_list() -> None:
    before = 'if True:\n    INSTALLED_APPS = ["channels"]\n    EXTRA = 1\n'
    after = (
        'if True:\n    INSTALLED_APPS = ["channels"]\n\n'
        '    ASGI_APPLICATION = "shop.asgi.application"\n    EXTRA = 1\n'
    )
    check_transformed("E105", before, after, path="shop/settings.py", files={**MANAGE, **ASGI})


def test_no_fix_for_a_list_built_by_several_statements() -> None:
    text = f'INSTALLED_APPS = ["{STATIC}"]\nINSTALLED_APPS += ["daphne"]\n{NAMED}'
    site = {**MANAGE, **ASGI, "shop/settings.py": text}

    assert len(findings(site, "E105")) == 1
    assert fixed(site, "E105") == site


def test_both_findings_are_fixed_at_once() -> None:
    site = {**MANAGE, **ASGI, "shop/settings.py": settings(STATIC, "daphne")}

    assert fixed(site, "E105")["shop/settings.py"] == settings("daphne", STATIC, more=NAMED)


# -- E106 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("Procfile", "web: uvicorn shop.asgi:application --lifespan on\n", 1),
        ("Dockerfile", 'FROM x\nCMD ["uvicorn", "shop.asgi:application", "--lifespan=on"]\n', 2),
        (
            "compose.yaml",
            "services:\n  web:\n    command: >\n      uvicorn shop.asgi:application\n"
            "      --lifespan on\n",
            4,
        ),
        ("deploy/web.service", "[Service]\nExecStart=/v/bin/uvicorn a:b --lifespan on\n", 2),
        ("start.sh", "#!/bin/sh\nset -e\nexec uvicorn a:b \\\n  --lifespan on\n", 3),
    ],
)
def test_lifespan_on_is_found_in_every_deploy_file(name: str, text: str, line: int) -> None:
    (found,) = findings({**MANAGE, name: text}, "E106")

    assert (str(found.path), found.line) == (name, line)
    assert (found.native, found.bridge) == (Severity.ERROR, Severity.WARNING)


def test_lifespan_auto_is_ignored() -> None:
    check_noop("E106", "web: uvicorn a:b --lifespan auto\n", path="Procfile", files=MANAGE | ASGI)


def test_lifespan_on_is_ignored_for_other_frameworks() -> None:
    app = {"app.py": "from fastapi import FastAPI\napp = FastAPI()\n"}
    check_noop("E106", "web: uvicorn app:app --lifespan on\n", path="Procfile", files=app)
