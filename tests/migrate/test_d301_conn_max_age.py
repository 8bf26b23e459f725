"""D301: CONN_MAX_AGE other than 0."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts
from bridge.migrate.findings import Severity, Source
from tests.migrate.helpers import check_noop, check_transformed, findings

MANAGE = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n"
}
PATH = "site/settings.py"
DATABASES = (
    "DATABASES = {{\n    'default': {{\n        'ENGINE': 'django.db.backends.postgresql',\n"
    "        {}\n    }},\n}}\n"
)


def lines(text: str, target: str = "native") -> list[int]:
    return [each.line for each in findings({**MANAGE, PATH: text}, "D301", target=target)]


def test_it_is_set_to_zero() -> None:
    for value in ("60", "None", "60 * 5"):
        check_transformed(
            "D301",
            DATABASES.format(f"'CONN_MAX_AGE': {value},  # seconds"),
            DATABASES.format("'CONN_MAX_AGE': 0,  # seconds"),
            path=PATH,
            files=MANAGE,
            safe=False,
        )


def test_no_fix_for_target_bridge() -> None:
    found = findings(
        {**MANAGE, PATH: DATABASES.format("'CONN_MAX_AGE': 60,")}, "D301", target="bridge"
    )

    assert [(each.bridge, each.fix) for each in found] == [(Severity.INFO, None)]


@pytest.mark.parametrize(
    "statement",
    [
        "DATABASES['default']['CONN_MAX_AGE'] = 60",
        "DATABASES['default']['CONN_MAX_AGE'] = env.int('CONN_MAX_AGE', default=60)",
        "DATABASES['default']['CONN_MAX_AGE'] = int(os.environ.get('CONN_MAX_AGE', '60'))",
        "import dj_database_url\nDATABASES = {'default': dj_database_url.config(conn_max_age=600)}",
        "import dj_database_url\n"
        "DATABASES['default'] = dj_database_url.parse(URL, conn_max_age=600)",
    ],
)
def test_every_way_to_set_it_is_found(statement: str) -> None:
    text = DATABASES.format("'NAME': 'shop',") + statement + "\n"

    assert lines(text) == [text.count("\n")]


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "DATABASES['default']['CONN_MAX_AGE'] = 0",
        "DATABASES['default']['CONN_MAX_AGE'] = env.int('CONN_MAX_AGE', default=0)",
        "DATABASES['default']['CONN_MAX_AGE'] = env.int('CONN_MAX_AGE')",
        "import dj_database_url\nDATABASES = {'default': dj_database_url.config()}",
        "DATABASES = {'default': env.db()}",
        "CACHES = {'default': {'CONN_MAX_AGE': 60}}  # bridge: ignore[D301] no database",
        "DATABASES['default']['CONN_MAX_AGE'] = 60  # bridge: ignore[D301] until we move",
    ],
)
def test_zero_and_unknown_values_are_ignored(statement: str) -> None:
    check_noop(
        "D301", DATABASES.format("'NAME': 'shop',") + statement + "\n", path=PATH, files=MANAGE
    )


def test_introspected_settings_take_precedence() -> None:
    facts = Facts(settings={"DATABASES": {"default": {"CONN_MAX_AGE": 90}}})
    text = DATABASES.format("'CONN_MAX_AGE': env.int('AGE'),")
    found = findings({**MANAGE, PATH: text}, "D301", facts=facts)

    assert [(each.line, each.source) for each in found] == [(4, Source.RUNTIME)]
    assert "90 s" in found[0].message
    for database in ({"CONN_MAX_AGE": 0}, {"NAME": "shop"}):
        facts = Facts(settings={"DATABASES": {"default": database}})
        sixty = text.replace("env.int('AGE')", "60")
        check_noop("D301", sixty, path=PATH, files=MANAGE, facts=facts)


def test_each_database_is_checked() -> None:
    text = (
        "DATABASES = {\n    'default': {'CONN_MAX_AGE': 0},\n    'other': {'CONN_MAX_AGE': 5},\n}\n"
    )

    assert lines(text) == [3]
