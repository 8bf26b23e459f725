"""The Django version of a project."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts
from bridge.migrate.versions import django_is_at_least
from tests.migrate.helpers import project_of


@pytest.mark.parametrize(
    ("line", "is_five"),
    [
        ("Django==4.2.11", False),
        ("django~=4.2", False),
        ("django>=4.2,<5.0", False),
        ("django<5", False),
        ("Django==5.2", True),
        ("django>=4.2,<5.2", True),
        ("django>=4.2", True),
        ("django", True),
        ("django-filter==2.4", True),
        ("flask==3.0", True),
    ],
)
def test_requirements_limit_the_version(line: str, is_five: bool) -> None:
    for path, text in (
        ("requirements/base.txt", f"asgiref\n{line}  # as it is\n"),
        ("pyproject.toml", f'dependencies = [\n    "{line}",\n]\n'),
    ):
        with project_of({"shop/code.py": "", path: text}) as project:
            assert django_is_at_least(project, 5) is is_five


@pytest.mark.parametrize("value", ['"^4.2"', '"4.2.*"', '{version = "~4.2", extras = ["bcrypt"]}'])
def test_poetrys_table_limits_the_version(value: str) -> None:
    for name, is_five in (("django", False), ("django-filter", True)):
        files = {"shop/code.py": "", "pyproject.toml": f"[tool.poetry]\n{name} = {value}\n"}
        with project_of(files) as project:
            assert django_is_at_least(project, 5) is is_five


def test_introspection_overrides_requirements() -> None:
    files = {"shop/code.py": "", "requirements.txt": "django==4.2\n"}
    with project_of(files, facts=Facts(django="5.1.2")) as project:
        assert django_is_at_least(project, 5)
        assert not django_is_at_least(project, 6)
