"""What deployments of real projects do, in inputs of our own: each was read wrongly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.migrate.deploy.read import read_deploy
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.shell import commands_in_script
from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.findings import Target
from bridge.migrate.inventory import Inventory, Item, inventory_of
from bridge.migrate.project import open_project
from bridge.migrate.rule import select_rules
from bridge.migrate.runner import check
from tests.migrate.helpers import write


def inventory(folder: Path, files: dict[str, str]) -> Inventory:
    write(folder, {"shop/wsgi.py": "application = None\n", **files})
    return inventory_of(open_project(folder, target=Target.BRIDGE))


def named(found: Inventory, name: str) -> list[Item]:
    return [each for each in found.items if each.option.name == name]


def values(found: Inventory, name: str) -> list[Any]:
    return [each.option.default for each in named(found, name)]


def served(found: Inventory) -> Server:
    assert found.served is not None
    return found.served


@pytest.mark.parametrize(
    "script",
    [
        'a "b\n',
        "read -d' ' -a X <<< $(f \"$(g)\")\n",
        'echo "it is #1"#2 \\# #3\n',
        "function f () {\n\tuntil g '$A' \"x; $B\"; do\n\t\tsleep 1\n\tdone\n}\n",
    ],
)
def test_reading_a_script_ends(script: str) -> None:
    assert len(list(commands_in_script(script))) < 20


def test_variables_with_one_value_in_one_line_are_all_listed(tmp_path: Path) -> None:
    found = inventory(tmp_path, {"Dockerfile": "FROM python\nENV LC_ALL=C.UTF-8 LANG=C.UTF-8\n"})
    assert values(found, "LC_ALL") == values(found, "LANG") == ["C.UTF-8"]


def test_variables_of_uwsgi_are_its_options(tmp_path: Path) -> None:
    text = (
        'FROM python\nENV UWSGI_MAX_FD=4096 UWSGI_PROCESSES=3\nCMD ["uwsgi", "-w", "shop.wsgi"]\n'
    )
    found = inventory(tmp_path, {"Dockerfile": text})
    assert [each.row.group for each in named(found, "UWSGI_MAX_FD")] == [Group.BY_HAND]
    assert served(found).default("processes") == "3"


def test_a_condition_reaches_the_options_through_variables_of_the_script(tmp_path: Path) -> None:
    text = "#!/bin/sh\nADDRESS=${SHOP_BIND:-[::]:5000}\nexec gunicorn -b $ADDRESS shop.wsgi\n"
    (bind,) = named(inventory(tmp_path, {"start.sh": text}), "bind")
    assert bind.option.default == "[::]:5000"
    assert "SHOP_BIND" in bind.option.condition


def test_a_configuration_that_the_project_lacks_is_not_understood(tmp_path: Path) -> None:
    ini = "[uwsgi]\nmodule = shop.wsgi\nif-file = /etc/more.ini\nini = %(_)\nendif =\n"
    found = inventory(tmp_path, {"shop.ini": ini, "Procfile": "web: uwsgi --ini shop.ini\n"})
    groups = {each.option.default: each.row.group for each in named(found, "ini")}
    assert groups == {"/etc/more.ini": Group.NOT_UNDERSTOOD, "shop.ini": Group.CARRIED}


def test_every_program_that_a_script_starts_is_listed(tmp_path: Path) -> None:
    text = (
        "#!/bin/sh\necho 'starting celery and rq scheduler'\nSITE=$(python -c 'print(1)')\n"
        "chown -R www: /data\nsupervisord -c tasks.conf\npython manage.py migrate\n"
        "/usr/sbin/nginx -c /etc/n.conf &\nif [ -f a ]; then echo b; fi\nexec gunicorn shop.wsgi\n"
    )
    found = inventory(tmp_path, {"start.sh": text})
    assert values(found, "command") == [
        "chown -R www: /data",
        "supervisord -c tasks.conf",
        "python manage.py migrate",
    ]
    assert values(found, "background") == ["/usr/sbin/nginx -c /etc/n.conf"]


@pytest.mark.parametrize(
    ("name", "text", "option", "group"),
    [
        ("Dockerfile", "FROM python\nSTOPSIGNAL SIGINT\n", "STOPSIGNAL", Group.CARRIED),
        ("Dockerfile", "FROM python\nSTOPSIGNAL SIGQUIT\n", "STOPSIGNAL", Group.BY_HAND),
        ("a.service", "[Service]\nType=simple\nExecStart=gunicorn a\n", "Type", Group.CARRIED),
        ("a.service", "[Service]\nType=notify\nExecStart=gunicorn a\n", "Type", Group.BY_HAND),
        ("shop.ini", "[uwsgi]\nmodule = a\nstrict = true\n", "strict", Group.NOT_NEEDED),
        ("shop.ini", "[uwsgi]\nmodule = a\nbuffer-size = 32768\n", "buffer-size", Group.NOT_NEEDED),
        ("shop.ini", "[uwsgi]\nmodule = a\nbuffer-size = 99999\n", "buffer-size", Group.BY_HAND),
        ("start.sh", "gunicorn a --threads 4 --timeout 9\n", "timeout", Group.NOT_NEEDED),
        ("start.sh", "gunicorn a --timeout 9\n", "timeout", Group.BY_HAND),
        (
            "shop.conf",
            "WSGIScriptAlias / /srv/a.wsgi\nWSGIImportScript /srv/a.wsgi process-group=a\n",
            "WSGIImportScript",
            Group.NOT_NEEDED,
        ),
        ("start.sh", "gunicorn a --keep-alive 9\n", "keepalive", Group.NOT_NEEDED),
        ("start.sh", "gunicorn a -k gthread --keep-alive 9\n", "keepalive", Group.BY_HAND),
        ("start.sh", "gunicorn a --reload-extra-file b\n", "reload_extra_files", Group.BY_HAND),
        ("shop.ini", "[uwsgi]\nsocket = /run/shop.sock\n", "socket", Group.BY_HAND),
        ("start.sh", "K=${K:-gevent}\ngunicorn -k $K a\n", "worker_class", Group.CARRIED),
        ("start.sh", "L=${L:--}\ngunicorn --error-logfile $L a\n", "errorlog", Group.CARRIED),
    ],
)
def test_values_decide_the_group(
    tmp_path: Path, name: str, text: str, option: str, group: Group
) -> None:
    (item,) = named(inventory(tmp_path, {name: text, "manage.py": ""}), option)
    assert item.row.group is group


def test_a_variable_from_a_secret_is_listed_without_a_value(tmp_path: Path) -> None:
    text = (
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n"
        "      - name: shop\n        image: shop\n        env:\n        - name: DATABASE_URL\n"
        "          valueFrom:\n            secretKeyRef: {name: db, key: url}\n"
    )
    (item,) = named(inventory(tmp_path, {"k8s.yaml": text}), "DATABASE_URL")
    assert item.option.line == 9
    assert item.option.default is None


def test_services_of_other_programs_are_not_listed(tmp_path: Path) -> None:
    text = (
        "services:\n  db:\n    image: docker.io/library/postgres:16-alpine\n    environment:\n"
        "      POSTGRES_DB: shop\n  web:\n    build: .\n    environment:\n      A: b\n"
        "  cache:\n    image: redis\n    restart: always\n"
    )
    found = inventory(tmp_path, {"compose.yaml": text})
    assert {each.process for each in found.items} == {"web"}


def test_gunicorn_started_as_a_dotted_module(tmp_path: Path) -> None:
    text = "web: ddtrace-run python -m gunicorn.app.wsgiapp -c gunicorn-web.conf.py shop.wsgi:app\n"
    deploy = read_deploy([write(tmp_path, {"Procfile": text}) / "Procfile"], root=tmp_path)
    (command,) = deploy.commands
    assert (command.program, command.argv[-1]) == ("gunicorn", "shop.wsgi:app")


@pytest.mark.parametrize(
    "written",
    [
        '["[::]:{}".format(os.environ.get("PORT", 5006))]',
        '"[::]:%s" % os.environ.get("PORT", "5006")',
        "f\"[::]:{os.getenv('PORT', 5006)}\"",
    ],
)
def test_a_bind_with_a_port_of_the_environment(tmp_path: Path, written: str) -> None:
    text = f"import os\nbind = {written}\nworkers = os.environ.get('WEB_CONCURRENCY', 1)\n"
    found = inventory(tmp_path, {"gunicorn.conf.py": text, "Procfile": "web: gunicorn shop.wsgi\n"})
    (bind,) = named(found, "bind")
    assert bind.option.default in ("[::]:5006", ["[::]:5006"])
    assert "PORT" in bind.option.condition
    assert str(served(found).default("workers")) == "1"


def test_a_local_env_file_decides_no_condition(tmp_path: Path) -> None:
    text = (
        "import os\nif os.environ.get('STAGE') == 'dev':\n    reload = True\n"
        "else:\n    threads = 5\n"
    )
    files = {
        "gunicorn.conf.py": text,
        "Procfile": "web: gunicorn shop.wsgi\n",
        ".env": "STAGE=dev\n",
    }
    found = inventory(tmp_path, files)
    assert [_applies(found, name) for name in ("reload", "threads")] == [False, True]


def _applies(found: Inventory, name: str) -> bool | None:
    (item,) = named(found, name)
    return item.option.applies


def test_scripts_for_development_are_not_listed(tmp_path: Path) -> None:
    files = {
        "Dockerfile": 'FROM python\nCMD ["./start.sh"]\n',
        "start.sh": "python manage.py migrate\n. ./more.sh\nexec gunicorn shop.wsgi\n",
        "more.sh": "python manage.py warm\n",
        "scripts/release.sh": "git tag v1\npython -m build\n",
    }
    found = inventory(tmp_path, files)
    assert values(found, "command") == ["python manage.py warm", "python manage.py migrate"]


def _found(folder: Path, files: dict[str, str], *codes: str) -> list[str]:
    inventory(folder, {"manage.py": "import django\n", **files})
    project = open_project(folder, target=Target.BRIDGE)
    report = check(project, select_rules(codes))
    assert report.problems == ()
    return [f"{each.line}: {each.message}: {each.help}" for each in report.findings]


def test_files_of_one_path_in_several_folders_are_one_location(tmp_path: Path) -> None:
    ini = (
        "[uwsgi]\nmodule = shop.wsgi\nchdir = /srv/shop\nstatic-map = /static=static\n"
        "static-map = /static=data/icons\nstatic-map = /robots.txt=static/robots.txt\n"
    )
    several, one = _found(tmp_path, {"shop.ini": ini}, "X504")
    assert "static-map (also line 5) works only in uwsgi" in several
    assert "location ~ ^/static/(.*)$ { root /; try_files /srv/shop/static/$1" in several
    assert "/srv/shop/data/icons/$1 =404; }" in several
    assert "location = /robots.txt { alias /srv/shop/static/robots.txt; }" in one


def test_options_with_one_remedy_are_one_finding(tmp_path: Path) -> None:
    ini = (
        "[uwsgi]\nmodule = shop.wsgi\nuid = www\ngid = www\nroute-run = gzip:\nroute-run = last:\n"
        "cron = 1 -1 -1 -1 -1 a\ncron = 2 -1 -1 -1 -1 b\n"
    )
    found = [
        each.partition(" only")[0] for each in _found(tmp_path, {"shop.ini": ini}, "X503", "X504")
    ]
    assert "5: route-run (also line 6) works" in found
    assert [each for each in found if "cron" in each] == ["7: cron works", "8: cron works"]
    assert any(
        each.startswith("3: uid and gid (also line 4) have no counterpart") for each in found
    )


def test_a_variable_of_uwsgi_is_named(tmp_path: Path) -> None:
    files = {"Dockerfile": 'FROM python\nENV UWSGI_MAX_FD=9\nCMD ["uwsgi", "-w", "shop.wsgi"]\n'}
    (found,) = _found(tmp_path, files, "X503")
    assert "UWSGI_MAX_FD has no counterpart" in found


@pytest.mark.parametrize(
    ("script", "proposed", "reason"),
    [
        (
            "H=${H:-[::]}\nuwsgi --http $H:8000 -w shop.wsgi\n",
            "--host $H --port 8000",
            "$H is [::] by default: uvicorn's --host is without brackets",
        ),
        (
            "B=${B:-[::]:5000}\ngunicorn -b $B shop.wsgi\n",
            "--host :: --port 5000",
            "its address $B cannot be split into host and port",
        ),
    ],
)
def test_an_address_in_variables(tmp_path: Path, script: str, proposed: str, reason: str) -> None:
    (found,) = _found(
        tmp_path, {"start.sh": script, "shop/asgi.py": "application = None\n"}, "X501"
    )
    assert proposed in found
    assert reason in found


@pytest.mark.parametrize("asgi", [True, False])
def test_a_blocked_command_keeps_its_threads_in_asgi_py(tmp_path: Path, asgi: bool) -> None:
    """The plan names them, and nothing else that the fixes write has them."""
    files = {
        "manage.py": "import django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.s')\n",
        "shop/s.py": "INSTALLED_APPS = []\n",
        "shop/wsgi.py": _APP.format("wsgi"),
        "uwsgi.ini": "[uwsgi]\nmodule = shop.wsgi\nhttp = :1\nthreads = 7\nattach-daemon = a\n",
        **({"shop/asgi.py": _APP.format("asgi")} if asgi else {}),
    }
    inventory(tmp_path, files)
    project = open_project(tmp_path, target=Target.BRIDGE)
    report = check(project, select_rules(["E101", "E107"]))
    (found,) = report.findings
    assert found.fix is not None
    texts = [each.text for each in found.fix.edits]
    assert any("get_asgi_application(threads=7)" in each for each in texts)


_APP = "from django.core.{0} import get_{0}_application\n\napplication = get_{0}_application()\n"


def test_a_configuration_that_nothing_starts_is_a_detail(tmp_path: Path) -> None:
    """An alternative beside the unit that is used: its options are lost for nobody."""
    files = {
        "shop.service": "[Service]\nExecStart=/srv/bin/gunicorn shop.wsgi\n",
        "uwsgi.ini": "[uwsgi]\nmodule = shop.wsgi\nsocket = /run/s\nlog-5xx = true\nspooler = a\n",
    }
    found = _found(tmp_path, files, "X501", "X503", "X504")
    assert [each.partition(":")[0] for each in found] == ["2"]
    (tmp_path / "shop.service").unlink()
    (tmp_path / "alone").mkdir()
    found = _found(tmp_path / "alone", {"uwsgi.ini": files["uwsgi.ini"]}, "X501", "X503", "X504")
    assert sorted(each.partition(":")[0] for each in found) == ["2", "3", "4", "5"]
