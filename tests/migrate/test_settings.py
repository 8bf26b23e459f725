"""Settings as written in the sources, and as resolved by introspection."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.migrate.facts import Facts
from bridge.migrate.findings import Source
from bridge.migrate.literals import UNKNOWN
from bridge.migrate.text import Text
from tests.migrate.helpers import project_of

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.live")\n'
BASE = 'APPS = ["a", "b"]\nDEBUG = True\nNAME = "x"\n'


def value_of(live: str, name: str = "APPS", **more: Any) -> Any:
    files = {"manage.py": MANAGE, "shop/settings/base.py": BASE, "shop/settings/live.py": live}
    with project_of(files, **more) as project:
        setting = project.settings.get(name)
        return None if setting is None else setting.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ["a", "b"]),
        ("APPS = ('c',)\n", ["c"]),
        ("APPS: list[str] = ['c']\n", ["c"]),
        ("APPS += ['c']\n", ["a", "b", "c"]),
        ("APPS = ['z', *APPS]\n", ["z", "a", "b"]),
        ("APPS = ['z'] + APPS\n", ["z", "a", "b"]),
        ("APPS.append('c')\n", ["a", "b", "c"]),
        ("APPS.insert(0, 'c')\n", ["c", "a", "b"]),
        ("APPS.insert(APPS.index('b'), 'c')\n", ["c", "a", "b"]),
        ("APPS.extend(['c'])\nAPPS.remove('a')\n", ["b", "c"]),
        ("if DEBUG:\n    APPS += ['c']\n", ["a", "b", "c"]),
        ("if DEBUG:\n    APPS = ['c']\nelse:\n    APPS = ['d']\n", ["c"]),
        ("try:\n    APPS += ['c']\nexcept ImportError:\n    pass\n", ["a", "b", "c"]),
        ("APPS = env.list('APPS')\n", UNKNOWN),
        ("APPS += env.list('APPS')\n", ["a", "b", UNKNOWN]),
        ("APPS = [name(), 'c']\n", [UNKNOWN, "c"]),
    ],
)
def test_lists_are_followed_through_modules_and_changes(text: str, value: object) -> None:
    assert value_of(f"from .base import *\n{text}") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NAME = 'a' 'b'", "ab"),
        ("NAME = NAME + 'y'", "xy"),
        ("NAME = 60 * 60", 3600),
        ("NAME = -1", -1),
        ("NAME = not DEBUG", False),
        ("NAME = f'{x}'", UNKNOWN),
        ("NAME = os.environ.get('NAME', 'x')", UNKNOWN),
        ("NAME = 'x' * 10**9", UNKNOWN),
        ("NAME = 'x' * 100000000", UNKNOWN),
        ("NAME = {'a': {'b': 1}, **more}\nNAME['a']['c'] = 2", {"a": {"b": 1, "c": 2}}),
    ],
)
def test_values_are_evaluated_without_running_code(text: str, value: object) -> None:
    assert value_of(f"from .base import *\n{text}\n", "NAME") == value


def test_a_circle_of_imports_ends() -> None:
    assert value_of("from .live import *\nfrom shop.settings.base import *\n") == ["a", "b"]


def test_resolved_values_override_written_ones() -> None:
    facts = Facts(settings={"APPS": ["resolved"]})

    assert value_of("APPS = ['written']\n", facts=facts) == ["resolved"]


def test_values_written_by_a_fix_override_resolved_ones() -> None:
    resolved = {"APPS": ["old"], "NAME": {"a": "resolved", "b": 1}}
    files = {"manage.py": MANAGE, "shop/settings/live.py": "APPS = ['old']\n"}
    with project_of(files, facts=Facts(settings=resolved)) as project:
        path = project.base / "shop" / "settings" / "live.py"
        new = "APPS = ['new']\nNAME = {'a': secret(), 'b': 2}\n"
        changed = project.with_texts({path: Text(new, "utf-8", "\n")})

        assert changed.settings.value("APPS") == ["new"]
        assert changed.settings.value("NAME") == {"a": "resolved", "b": 2}
        setting = changed.settings.get("APPS")
        assert setting is not None
        assert (setting.source, setting.times) == (Source.RUNTIME, 1)
