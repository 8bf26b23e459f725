"""The environment and the user that a deployment gives its server, from all its files."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridge.migrate.smoke_command import server_command
from tests.migrate.helpers import project_of
from tests.migrate.sites import FLASK

START = "uvicorn shop:app"
COMPOSE = f"services:\n  web:\n    build: .\n    command: {START}\n"
UNIT = f"[Service]\nExecStart=/srv/bin/{START}\n"
POD = "kind: Pod\nspec:\n  containers:\n  - name: web\n    image: shop\n"
POD += '    args: ["uvicorn", "shop:app"]\n'


def environment(files: Mapping[str, str]) -> dict[str, str]:
    with project_of({**FLASK, **files}, target="bridge") as project:
        return dict(server_command(project).environment)


def user(files: Mapping[str, str]) -> str:
    with project_of({**FLASK, **files}, target="bridge") as project:
        return server_command(project).user


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yml": f"{COMPOSE}    environment:\n      A: '1'\n"},
        {"compose.yml": f"{COMPOSE}    env_file: web.env\n", "web.env": "A=1\n"},
        {"compose.yml": f"{COMPOSE}    env_file:\n    - path: .env\n", ".env": "A=1\n"},
        {"compose.yml": COMPOSE, "Dockerfile": "FROM python\nENV A=1\n"},
        {"shop.service": f"{UNIT}Environment=A=1\n"},
        {"shop.service": f"{UNIT}EnvironmentFile=-/etc/default/shop\n", "default/shop": "A=1\n"},
        {"s.conf": f'[program:shop]\ncommand={START}\nenvironment=A="1"\n'},
        {"pod.yaml": f"{POD}    env:\n    - name: A\n      value: '1'\n"},
        {
            "pod.yaml": f"{POD}    envFrom:\n    - configMapRef:\n        name: shop\n",
            "map.yaml": "kind: ConfigMap\nmetadata:\n  name: shop\ndata:\n  A: '1'\n",
        },
        {"Procfile": f"web: {START}\n", ".env": "A=1\n"},
        {"start.sh": f"export A=1\nexec {START}\n"},
        {"Procfile": "web: gunicorn -k asgi --env A=1 shop:app\n"},
    ],
)
def test_the_variables_of_the_deployment_are_found(files: dict[str, str]) -> None:
    """And those of a process beside it are not taken for them."""
    beside = {
        "worker.service": "[Service]\nEnvironment=A=2\nExecStart=/bin/true\n",
        "other.env": "A=3\n",
    }
    assert environment({**files, **beside})["A"] == "1"


def test_a_command_in_a_dockerfile_has_the_variables_of_the_service_that_runs_it() -> None:
    files = {
        "Dockerfile": f"FROM python\nENV A=0\nCMD {START}\n",
        "compose.yml": "services:\n  web:\n    build: .\n    environment:\n      A: '1'\n"
        "  work:\n    build: .\n    command: celery -A shop\n    environment:\n      A: '2'\n",
    }
    assert environment(files)["A"] == "1"


def test_a_file_of_variables_overrides_those_of_a_unit_but_not_those_of_a_service() -> None:
    unit = f"{UNIT}EnvironmentFile=/etc/shop.env\nEnvironment=A=unit\n"
    service = f"{COMPOSE}    env_file: shop.env\n    environment:\n      A: service\n"

    assert environment({"shop.service": unit, "shop.env": "A=file\n"})["A"] == "file"
    assert environment({"compose.yml": service, "shop.env": "A=file\n"})["A"] == "service"


def test_of_several_commands_the_one_of_the_default_case_is_started() -> None:
    files = {
        "Procfile.dev": "web: uvicorn shop:app --reload\n",
        "compose.dev.yml": COMPOSE,
        "Dockerfile": f"FROM python AS dev\nCMD {START} --reload\nFROM python\nCMD {START}\n",
    }
    with project_of({**FLASK, **files}, target="bridge") as project:
        assert server_command(project).place == "Dockerfile:4"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"shop.service": f"{UNIT}User=www-data\n"}, "www-data (shop.service:3)"),
        ({"s.conf": f"[program:shop]\ncommand={START}\nuser=lou\n"}, "lou (s.conf:3)"),
        ({"Dockerfile": f"FROM python\nUSER app:app\nCMD {START}\n"}, "app:app (Dockerfile:2)"),
        (
            {"Dockerfile": f"FROM python AS a\nUSER lou\nFROM a\nCMD {START}\n"},
            "lou (Dockerfile:2)",
        ),
        (
            {"compose.yml": COMPOSE, "Dockerfile": "FROM python\nUSER lou\n"},
            "lou (Dockerfile:2)",
        ),
        (
            {"compose.yml": f"{COMPOSE}    user: '7'\n", "Dockerfile": "FROM a\nUSER lou\n"},
            "7 (compose.yml:5)",
        ),
        (
            {"pod.yaml": f"{POD}    securityContext:\n      runAsUser: 1000\n"},
            "1000 (pod.yaml:8)",
        ),
        ({"Procfile": f"web: {START}\n"}, ""),
    ],
)
def test_the_user_of_the_deployment_is_found(files: dict[str, str], expected: str) -> None:
    assert user(files) == expected
