"""The old deployment: what is read from its files, and what the plan and the fix do with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.migrate.deploy.tables.lookup import TABLES
from bridge.migrate.deploy.tables.rows import Group
from bridge.migrate.deploy.tables.uwsgi import UWSGI
from bridge.migrate.inventory import Item, inventory_of
from tests.migrate.helpers import findings, fixed, project_of, write
from tests.migrate.sites import DJANGO, FLASK, procfile

NEVER = ("--fail-level", "never")


def items(files: dict[str, str], target: str = "bridge") -> list[Item]:
    with project_of({"app.py": "", **files}, target=target) as project:
        return list(inventory_of(project).items)


def values(found: list[Item], name: str) -> list[Any]:
    return [item.option.default for item in found if item.option.name == name]


def migrate(command: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bridge", "migrate", command, str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


def plan(folder: Path, *arguments: str) -> dict[str, Any]:
    result = migrate("plan", folder, "--format", "json", *NEVER, *arguments)
    assert result.returncode == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


# -- one settings module ---------------------------------------------------------------------------

WSGI = (
    "import os\nfrom django.core.wsgi import get_wsgi_application\n\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
    "application = get_wsgi_application()\n"
)
SITE = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/__init__.py": "",
    "shop/settings/__init__.py": 'DEBUG = True\nSECRET_KEY = "x"\nROOT_URLCONF = "shop.urls"\n',
    "shop/settings/prod.py": "from shop.settings import *\n\nDEBUG = False\n",
    "shop/urls.py": "urlpatterns = []\n",
    "shop/wsgi.py": WSGI,
}
PROD = "shop.settings.prod"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("uwsgi.ini", f"[uwsgi]\nmodule = shop.wsgi\nenv = DJANGO_SETTINGS_MODULE={PROD}\n"),
        ("Dockerfile", f"FROM python\nENV A=1 DJANGO_SETTINGS_MODULE={PROD}\n"),
        ("compose.yml", f"services:\n web:\n  build: .\n  environment:\n  - D={PROD}\n"),
        ("compose.yaml", f"x-e: &e\n  D: {PROD}\nservices:\n w:\n  build: .\n  environment: *e\n"),
        ("shop.service", f"[Service]\nEnvironment=A=1 'DJANGO_SETTINGS_MODULE={PROD}'\n"),
        ("Procfile", f"web: DJANGO_SETTINGS_MODULE={PROD} gunicorn shop.wsgi\n"),
        ("Procfile", f"web: gunicorn shop.wsgi --env DJANGO_SETTINGS_MODULE={PROD}\n"),
        (".env", f"DJANGO_SETTINGS_MODULE={PROD}\n"),
        ("start.sh", f"export DJANGO_SETTINGS_MODULE={PROD}\nexec gunicorn shop.wsgi\n"),
        ("supervisord.conf", f'[program:shop]\ncommand=x\nenvironment=A="1",D="{PROD}"\n'),
        (
            "k8s.yaml",
            f"spec:\n containers:\n - name: a\n   env:\n   - name: D\n     value: {PROD}\n",
        ),
        ("values.yaml", f"extraEnv:\n  D: {PROD}\n"),
        ("gunicorn.conf.py", f'raw_env = ["DJANGO_SETTINGS_MODULE={PROD}"]\n'),
    ],
)
def test_the_settings_module_of_the_deployment_is_found(path: str, text: str) -> None:
    text = text.replace(" D:", " DJANGO_SETTINGS_MODULE:").replace(
        " D=", " DJANGO_SETTINGS_MODULE="
    )
    text = text.replace("D: ", "DJANGO_SETTINGS_MODULE: ", 1) if "\n  D: " in text else text
    text = text.replace("name: D\n", "name: DJANGO_SETTINGS_MODULE\n")
    text = text.replace(',D="', ',DJANGO_SETTINGS_MODULE="').replace(
        "- D=", "- DJANGO_SETTINGS_MODULE="
    )
    with project_of({**SITE, path: text}) as project:
        assert project.settings_module == PROD


def test_the_plan_is_made_for_the_settings_that_are_served(tmp_path: Path) -> None:
    ini = f"[uwsgi]\nhttp = :80\nmodule = shop.wsgi\nenv = DJANGO_SETTINGS_MODULE={PROD}\n"
    made = plan(write(tmp_path, {**SITE, "uwsgi.ini": ini}), "--target", "bridge")

    assert (made["settings"], made["debug"]) == ([PROD, "uwsgi.ini:4"], False)
    assert made["server"].startswith(f"/usr/bin/env DJANGO_SETTINGS_MODULE={PROD} uvicorn ")


def test_the_plan_begins_with_a_warning_where_debug_would_be_served(tmp_path: Path) -> None:
    result = migrate("plan", write(tmp_path, SITE), *NEVER)

    assert result.stdout.splitlines()[2].startswith("Warning        DEBUG is on in shop.settings")


def test_places_that_disagree_are_an_error_that_lists_them(tmp_path: Path) -> None:
    files = {
        "Dockerfile": f"FROM python\nENV DJANGO_SETTINGS_MODULE={PROD}\n",
        "shop.service": "[Service]\nEnvironment=DJANGO_SETTINGS_MODULE=shop.settings\n",
    }
    folder = write(tmp_path, {**SITE, **files})
    result = migrate("plan", folder)

    assert result.returncode == 2
    assert f"{PROD} (Dockerfile:2), shop.settings (shop.service:2)" in result.stderr
    assert "--settings" in result.stderr
    assert plan(folder, "--settings", PROD)["settings"] == [PROD, "--settings"]


def test_files_for_development_do_not_disagree() -> None:
    files = {
        "Dockerfile": f"FROM python\nENV DJANGO_SETTINGS_MODULE={PROD}\n",
        "docker-compose.dev.yml": "services:\n web:\n  build: .\n  environment:\n"
        "   DJANGO_SETTINGS_MODULE: shop.settings\n",
        ".env.example": "DJANGO_SETTINGS_MODULE=shop.settings\n",
    }
    with project_of({**SITE, **files}) as project:
        assert {place.module for place in project.settings_places} == {PROD}


def test_the_new_asgi_module_has_the_settings_of_the_deployment() -> None:
    files = {**SITE, "Dockerfile": f"FROM python\nENV DJANGO_SETTINGS_MODULE={PROD}\n"}

    text = fixed(files, "E101", target="bridge")["shop/asgi.py"]
    assert f'setdefault("DJANGO_SETTINGS_MODULE", "{PROD}")' in text


def test_the_project_is_introspected_with_the_environment_of_the_deployment(tmp_path: Path) -> None:
    settings = {
        "shop/settings/__init__.py": SITE["shop/settings/__init__.py"].replace("True", _READ)
    }
    files = {**SITE, **settings, "Procfile": "web: SHOP_DEBUG=no gunicorn shop.wsgi\n"}

    assert plan(write(tmp_path, files))["debug"] is False


_READ = '__import__("os").environ.get("SHOP_DEBUG", "yes") == "yes"'


def test_a_variable_that_only_the_deployment_can_use_does_not_stop_introspection(
    tmp_path: Path,
) -> None:
    settings = (
        SITE["shop/settings/__init__.py"] + 'import os\nopen(os.environ.get("A", os.devnull))\n'
    )
    files = {**SITE, "shop/settings/__init__.py": settings}
    files["Procfile"] = "web: A=/only/there gunicorn shop.wsgi\n"

    assert plan(write(tmp_path, files))["debug"] is True


# -- one capacity, one target, one way back --------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "processes", "threads"),
    [
        ("uwsgi --http :8000 --module mysite.wsgi --processes 4", 4, 4),
        ("gunicorn mysite.wsgi --workers 9", 9, 4),
        ("gunicorn mysite.wsgi --workers 2 --threads 8", 2, 8),
        ("mod_wsgi-express start-server mysite/wsgi.py --processes 3", 3, 5),
        ("waitress-serve --port=80 mysite.wsgi:application", 1, 4),
    ],
)
def test_plan_and_fix_have_one_capacity(start: str, processes: int, threads: int) -> None:
    files = {**DJANGO, **procfile(start)}
    after = fixed(files, "X501", target="bridge")

    workers = f"--workers {processes}" in after["Procfile"]
    assert workers is (processes > 1), after["Procfile"]
    assert f"get_asgi_application(threads={threads})" in after["mysite/asgi.py"]
    with project_of(files, target="bridge") as project:
        from bridge.migrate.capacity import capacity_after, capacity_now

        planned = capacity_after(project, capacity_now(project))
        assert (planned.processes, planned.threads) == (processes, threads)


def test_no_rule_of_gunicorn_explains_uwsgi(tmp_path: Path) -> None:
    files = {**SITE, "uwsgi.ini": "[uwsgi]\nmodule = shop.wsgi\nprocesses = 4\nhttp = :1\n"}
    why = plan(write(tmp_path, files), "--target", "bridge", "--no-introspect")["threads_why"]

    assert why == "at least 4 (now uwsgi: 4 processes x 1 thread)"


def test_a_wsgi_module_beside_manage_py_has_a_target_that_can_be_imported(tmp_path: Path) -> None:
    files = {
        "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")\n',
        "settings.py": 'SECRET_KEY = "x"\nROOT_URLCONF = "urls"\n',
        "urls.py": "urlpatterns = []\n",
        "wsgi.py": WSGI.replace("shop.settings", "settings"),
    }
    made = plan(write(tmp_path, files), "--target", "bridge")

    assert made["server"] == "uvicorn asgi:application"


@pytest.mark.parametrize(
    ("app", "reason"),
    [("shop.wsgy", "No module named 'shop.wsgy'"), ("shop.wsgi:app", "no attribute 'app'")],
)
def test_a_target_that_cannot_be_imported_is_not_written(
    tmp_path: Path, app: str, reason: str
) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/wsgi.py": "def application(environ, start_response): ...\n",
        "Procfile": f"web: gunicorn {app}\n",
    }
    made = plan(write(tmp_path, files), "--target", "bridge")

    assert any(f"{app} cannot be imported" in each and reason in each for each in made["refused"])


@pytest.mark.parametrize(
    ("files", "command", "place"),
    [
        ({"uwsgi.ini": "[uwsgi]\nmodule = shop.wsgi\n"}, "uwsgi uwsgi.ini", "uwsgi.ini"),
        ({"Procfile": "a: x\nweb: uwsgi --ini u.ini\n"}, "uwsgi --ini u.ini", "Procfile:2"),
        ({"a.conf": "WSGIScriptAlias / /srv/shop/wsgi.py\n"}, "apachectl start", "a.conf"),
        ({}, "", ""),
    ],
)
def test_the_way_back_is_the_command_that_was_found(
    tmp_path: Path, files: dict[str, str], command: str, place: str
) -> None:
    made = plan(write(tmp_path, {**SITE, **files}), "--no-introspect")

    assert (made["rollback"], made["rollback_at"]) == (command, place)


# -- conditions ------------------------------------------------------------------------------------

CONDITIONAL = """[uwsgi]
module = shop.wsgi
if-env = LISTEN_IPV6
http-socket = [::]:8000
endif
if-not-env = LISTEN_IPV6
http-socket = 0.0.0.0:8000
endif
if-opt = never=set
master = true
end-if
for = a b
attach-daemon = %(_).py
endfor
"""


def test_the_default_branch_of_a_condition_is_taken_and_named() -> None:
    found = items({"uwsgi.ini": CONDITIONAL})

    sockets = {i.option.default: i.option for i in found if i.option.name == "http-socket"}
    assert sockets["[::]:8000"].applies is False
    assert (sockets["0.0.0.0:8000"].applies, sockets["0.0.0.0:8000"].condition) == (
        True,
        "if-not-env = LISTEN_IPV6",
    )
    assert values(found, "attach-daemon") == ["a.py", "b.py"]
    [master] = [i.option for i in found if i.option.name == "master"]
    assert master.applies is False


def test_a_variable_of_the_deployment_decides_a_condition() -> None:
    found = items({"uwsgi.ini": CONDITIONAL, "Dockerfile": "FROM x\nENV LISTEN_IPV6=1\n"})

    applied = [i.option for i in found if i.option.name == "http-socket" and i.option.applies]
    assert [each.default for each in applied] == ["[::]:8000"]


def test_a_conditional_value_is_asked_for_and_not_written() -> None:
    files = {**DJANGO, "uwsgi.ini": CONDITIONAL.replace("attach-daemon", "procname")}
    files["Procfile"] = "web: uwsgi --ini uwsgi.ini\n"
    [found] = findings(files, "X501")

    assert found.fix is None
    assert "http-socket depends on if-not-env = LISTEN_IPV6" in found.help


def test_the_last_stage_of_a_dockerfile_is_the_one_that_runs() -> None:
    text = (
        "FROM python AS base\nENV A=base\nFROM base AS dev\nENV A=dev\nCMD gunicorn a:dev -w 1\n"
        "FROM base AS prod\nCMD gunicorn a:prod -w 3\n"
    )
    with project_of({"app.py": "", "Dockerfile": text}) as project:
        found = inventory_of(project)
    assert found.served is not None
    assert found.served.app == "a:prod"
    assert {i.option.default: i.option.applies for i in found.items if i.option.name == "A"} == {
        "base": True,
        "dev": False,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('if [ -n "$DEV" ]; then\n  gunicorn a:dev\nelse\n  gunicorn a:prod\nfi\n', "a:prod"),
        ('[ "$ENV" = dev ] && exec gunicorn a:dev\nexec gunicorn a:prod\n', "a:prod"),
        (
            'ENV=${ENV:-prod}\ncase "$ENV" in\n prod) gunicorn a:prod ;;\n *) gunicorn a:b\nesac\n',
            "a:prod",
        ),
        ("run() {\n  exec gunicorn a:prod\n}\nrun\n", "a:prod"),
        ('if test -z $X && [ ! -n "$Y" ]; then gunicorn a:prod; else gunicorn a:b; fi\n', "a:prod"),
    ],
)
def test_the_default_branch_of_a_script_is_served(text: str, expected: str) -> None:
    with project_of({"app.py": "", "start.sh": f"#!/bin/sh\n{text}"}) as project:
        served = inventory_of(project).served

    assert served is not None
    assert served.app == expected


@pytest.mark.parametrize(
    ("files", "worker"),
    [
        ({"s.sh": 'K=${K:-gevent}\ngunicorn a:b --worker-class "$K" --threads 8\n'}, "gevent"),
        ({"s.sh": ': "${K:=gevent}"\ngunicorn a:b -k "$K"\n'}, "gevent"),
        ({"s.sh": "gunicorn a:b -k ${K:-${L:-gevent}}\n"}, "gevent"),
        ({"Dockerfile": "FROM a\nENV K=gevent\nCMD gunicorn a:b -k $K\n"}, "gevent"),
        ({"s.sh": "gunicorn a:b -k $(cat k)\n"}, None),
    ],
)
def test_green_threads_are_seen_through_variables(
    files: dict[str, str], worker: str | None
) -> None:
    from bridge.migrate.capacity import capacity_now

    with project_of({"app.py": "", **files}) as project:
        now = capacity_now(project)

    assert now is not None
    assert now.is_green is (worker is not None)


def test_a_value_that_only_the_shell_knows_is_unknown() -> None:
    found = items({"s.sh": "gunicorn a:b -w $(nproc) --threads $1\n"})

    assert (values(found, "workers"), values(found, "threads")) == ([None], [None])


# -- shell as shell --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "if [ \"$1\" = '/venv/bin/uwsgi' ]; then\n  ./manage.py migrate\nfi\n",
        "if [[ $1 == uwsgi || $1 == gunicorn ]]; then true; fi\n",
        "case $1 in\n  uwsgi) echo uwsgi ;;\n  gunicorn|uvicorn) true ;;\nesac\n",
        "for s in gunicorn uwsgi; do echo $s; done\n",
        "echo 'gunicorn a:b'\n",
        "SERVER=gunicorn\nexport SERVER=uwsgi\n",
    ],
)
def test_a_name_of_a_server_in_a_script_starts_nothing(text: str) -> None:
    files = {**DJANGO, "entrypoint.sh": f"#!/bin/sh\n{text}"}

    assert findings(files, "X501") == []


# -- hooks, daemons and what else would stop -------------------------------------------------------

HOOKS = """[uwsgi]
http = :8000
module = mysite.wsgi
hook-pre-app = exec:./manage.py migrate
hook-asap = write:/tmp/started now
exec-as-user = ./notify.sh
spooler = /var/spool/mysite
mule = worker.py
cron = 0 4 -1 -1 -1 ./clean.sh
attach-daemon = ./alerts.py
attach-daemon = ./mail.py
attach-daemon = ./beat.py
"""


def test_everything_that_would_stop_is_listed_with_its_line() -> None:
    found = [item for item in items({**DJANGO, "uwsgi.ini": HOOKS}) if item.stops]

    assert [item.option.line for item in found] == list(range(4, 13))
    assert all(item.row.group is Group.BY_HAND and item.row.instead for item in found)


def test_a_fix_that_would_stop_something_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    files = {**DJANGO, "uwsgi.ini": HOOKS, "Procfile": "web: uwsgi --ini uwsgi.ini\n"}
    folder = write(tmp_path, files)
    arguments = ("--no-introspect", "--select", "X501", "--unsafe-fixes", "--target", "bridge")
    names = [line.partition(" ")[0] for line in HOOKS.splitlines()[3:]]

    refused = migrate("fix", folder, *arguments)
    assert "Procfile:1 is unchanged" in refused.stderr
    assert "attach-daemon: uvicorn starts no other program" in refused.stderr

    def accepting(accepted: list[str]) -> str:
        options = [each for name in accepted for each in ("--accept", name)]
        return migrate("fix", folder, *arguments, *options).stdout

    assert refused.stdout == ""
    assert accepting(names[:-3]) == ""  # the daemons are left
    assert "uvicorn mysite.asgi:application" in accepting(list(dict.fromkeys(names)))


def test_an_unknown_option_cannot_be_accepted(tmp_path: Path) -> None:
    ini = "[uwsgi]\nmodule = mysite.wsgi\nuid = www\nmule = a.py\n"
    folder = write(tmp_path, {**DJANGO, "uwsgi.ini": ini})

    for command in ("check", "plan", "fix"):
        result = migrate(command, folder, "--no-introspect", "--accept", "mules")
        assert result.returncode == 2
        assert "accept = mules: must be one of mule, uid" in result.stderr


@pytest.mark.parametrize("hook", ["on_starting", "when_ready", "post_fork", "pre_request"])
def test_a_hook_of_gunicorn_refuses_the_fix(hook: str) -> None:
    files = {
        **DJANGO,
        **procfile("gunicorn mysite.wsgi -c gunicorn.conf.py"),
        "gunicorn.conf.py": f"def {hook}(server, *more):\n    server.log.info('x')\n",
    }
    [found] = findings(files, "X501")
    [lost] = findings(files, "X503")

    assert found.fix is None
    assert f"{hook}: it is a gunicorn hook" in found.help
    assert (str(lost.path), lost.line) == ("gunicorn.conf.py", 1)


def test_code_of_the_configuration_file_is_not_dropped() -> None:
    text = "from dotenv import load_dotenv\n\nload_dotenv()\nos.environ['A'] = '1'\nworkers = 2\n"
    found = [i for i in items({"gunicorn.conf.py": text}) if i.option.name == "code"]

    assert [(i.option.line, i.stops) for i in found] == [(3, True), (4, True)]


def test_check_lists_everything_at_once_without_an_asgi_module(tmp_path: Path) -> None:
    ini = "[uwsgi]\nmodule = shop.wsgi\nhttp = :1\nuid = www\nlimit-post = 9\nmule = m.py\n"
    result = migrate(
        "check",
        write(tmp_path, {**SITE, "uwsgi.ini": ini}),
        "--no-introspect",
        "--target",
        "bridge",
    )

    for text in ("E101", "uid has no counterpart", "limit-post", "mule works only in uwsgi"):
        assert text in result.stdout
    assert "apply E101" in result.stdout or "not fixed automatically" in result.stdout


# -- users, limits and rewrites, of every source ---------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        *("uid", "gid", "limit-post", "buffer-size", "harakiri"),
        *("http-timeout", "max-requests", "reload-on-rss", "static-map", "static-expires"),
        *("route", "route-run", "check-static", "offload-threads", "http-socket"),
        *("socket", "chdir", "virtualenv", "umask", "logto"),
        *("die-on-term", "listen", "https", "hook-pre-app", "attach-daemon"),
        *("cron", "mule"),
    ],
)
def test_each_option_of_uwsgi_says_what_becomes_of_it(option: str) -> None:
    [found] = [i for i in items({"u.ini": f"[uwsgi]\n{option} = 1\n"}) if i.option.line == 2]

    assert found.row.group is not Group.NOT_UNDERSTOOD
    assert found.row.why
    assert bool(found.row.instead) is (found.row.group is Group.BY_HAND)


@pytest.mark.parametrize(
    ("files", "name", "group"),
    [
        ({"a.service": "[Service]\nUser=www\nExecStart=gunicorn a:b\n"}, "User", Group.CARRIED),
        ({"a.service": "[Service]\nMemoryMax=1G\n"}, "MemoryMax", Group.CARRIED),
        ({"a.service": "[Service]\nTimeoutStopSec=9\n"}, "TimeoutStopSec", Group.CARRIED),
        ({"a.service": "[Service]\nKillSignal=SIGQUIT\n"}, "KillSignal", Group.BY_HAND),
        ({"a.service": "[Service]\nKillSignal=SIGINT\n"}, "KillSignal", Group.CARRIED),
        ({"a.service.d/x.conf": "[Service]\nLimitNOFILE=9\n"}, "LimitNOFILE", Group.CARRIED),
        ({"s.conf": "[program:a]\ncommand=gunicorn a:b\nuser=www\n"}, "user", Group.CARRIED),
        ({"Dockerfile": "FROM a\nUSER www\n"}, "USER", Group.CARRIED),
        ({"compose.yml": "services:\n a:\n  build: .\n  user: www\n"}, "user", Group.CARRIED),
        ({"a.conf": "WSGIDaemonProcess a user=w\n"}, "WSGIDaemonProcess+user", Group.BY_HAND),
        ({"a.conf": "WSGIDaemonProcess a threads=9\n"}, "WSGIDaemonProcess+threads", Group.CARRIED),
        ({"Procfile": "web: waitress-serve --threads=2 a:b\n"}, "threads", Group.CARRIED),
        ({"Procfile": "web: waitress-serve --url-scheme=https a:b\n"}, "url-scheme", Group.BY_HAND),
        ({"Passengerfile.json": '{"max_pool_size": 3}\n'}, "max_pool_size", Group.CARRIED),
        ({"Passengerfile.json": '{"user": "www"}\n'}, "user", Group.BY_HAND),
        ({"u.xml": "<uwsgi>\n<uid>www</uid>\n</uwsgi>\n"}, "uid", Group.BY_HAND),
        ({"u.yaml": "uwsgi:\n  uid: www\n"}, "uid", Group.BY_HAND),
        ({"uwsgi.json": '{"uwsgi": {"uid": "www"}}\n'}, "uid", Group.BY_HAND),
        ({"s.sh": "gunicorn a:b --user www\n"}, "user", Group.BY_HAND),
        ({".env": "GUNICORN_CMD_ARGS=--user www\n", "s.sh": "gunicorn a\n"}, "user", Group.BY_HAND),
    ],
)
def test_each_source_is_read(files: dict[str, str], name: str, group: Group) -> None:
    found = [item.row.group for item in items(files) if item.option.name == name]

    assert found == [group]


def test_the_arguments_of_a_container_belong_to_its_command() -> None:
    manifest = (
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n"
        "        command: ['gunicorn']\n        args: ['a:b', '-w', '3', '--user', 'www']\n"
    )
    dockerfile = 'FROM a\nENTRYPOINT ["gunicorn", "-w", "3"]\nCMD ["a:b", "--user", "www"]\n'
    for files in ({"k.yaml": manifest}, {"Dockerfile": dockerfile}):
        found = items(files)
        assert (values(found, "workers"), values(found, "user")) == (["3"], ["www"])


def test_no_password_is_printed(tmp_path: Path) -> None:
    files = {
        "app.py": "",
        "Procfile": "web: DB_PASSWORD=hidden1 gunicorn app:app\n",
        "u.ini": "[uwsgi]\nenv = SECRET_KEY=hidden2\n",
        "Dockerfile": "FROM a\nENV DATABASE_URL=postgres://u:hidden3@db/x\n",
    }
    for format in ("text", "json", "markdown"):
        options = ("--format", format, "--no-introspect", "--verbose")
        result = migrate("plan", write(tmp_path, files), *options)
        assert "DATABASE_URL" in result.stdout
        assert "hidden" not in result.stdout


def test_no_password_is_in_the_new_command(tmp_path: Path) -> None:
    env = "env = SECRET_KEY=hidden one\nenv = CACHE=redis://u:hidden2@c\n"
    files = {"app.py": "", "u.ini": f"[uwsgi]\nmodule = app:app\n{env}uid = www\n"}
    project = write(tmp_path, files)
    for command in ("plan", "check"):
        result = migrate(command, project, "--target", "bridge", "--no-introspect")
        assert "SECRET_KEY=... CACHE=redis://...@c" in result.stdout
        assert "hidden" not in result.stdout


def test_a_command_that_is_written_by_hand_names_its_package(tmp_path: Path) -> None:
    files = {"app.py": "", "u.ini": "[uwsgi]\nmodule = app:app\nuid = www\n"}
    result = migrate("check", write(tmp_path, files), "--target", "bridge", "--no-introspect")
    assert 'pip install "wsgi-asgi-bridge[cli,uvicorn]" and change it by hand to' in result.stdout


# -- the tables ------------------------------------------------------------------------------------


def test_every_row_says_why_and_what_to_do() -> None:
    for source, table in TABLES.items():
        for name, row in {**table.rows, **table.families}.items():
            assert row.why or row.key, (source, name)
            assert bool(row.instead) is (row.group is Group.BY_HAND), (source, name)
            assert row.group is not Group.NOT_UNDERSTOOD


def test_the_table_of_uwsgi_has_all_options_of_the_server() -> None:
    assert len(UWSGI.rows) == 1254
    assert {"http", "attach-daemon", "route-run", "php-app", "fastrouter"} <= set(UWSGI.rows)


def test_the_table_of_gunicorn_has_all_settings_of_the_server() -> None:
    from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]  # has no types

    missing = {setting.name for setting in KNOWN_SETTINGS} - set(TABLES["gunicorn"].rows)
    assert not missing


def test_the_table_of_waitress_has_all_adjustments_of_the_server() -> None:
    from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # has no types

    names = {name.replace("_", "-") for name, _ in Adjustments._params}
    assert names - set(TABLES["waitress-serve"].rows) <= {"sockets"}  # not an option


NAMES = st.sampled_from([*sorted(UWSGI.rows), "no-such-option", "base", "strange line"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(st.lists(st.tuples(NAMES, st.none() | VALUES), min_size=1, max_size=25))
def test_every_line_of_an_ini_file_is_in_one_group(lines: list[tuple[str, str | None]]) -> None:
    written = [name if value is None else f"{name} = {value}" for name, value in lines]
    files = {"uwsgi.ini": "[uwsgi]\n" + "".join(f"{line}\n" for line in written)}
    conditions = re.compile(r"if.*|for(-.*)?|end-?(if|for)")  # they are those of other lines
    expected = [n for n, (name, _) in enumerate(lines, 2) if not conditions.fullmatch(name)]
    found = items({**FLASK, **files})
    groups: dict[int, set[Group]] = {}
    for item in found:
        if item.option.path.name == "uwsgi.ini":
            groups.setdefault(item.option.line, set()).add(item.row.group)

    assert all(len(each) == 1 for each in groups.values())
    assert set(groups) <= set(expected)
    looped = {n for n in expected if n not in groups}
    assert not looped, [written[n - 2] for n in looped]


# -- files that are not trusted --------------------------------------------------------------------


def test_reading_hostile_files_ends() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    files = {
        "bomb.yaml": f"{bomb}env: *k\nservices: *k\n",
        "merge.yaml": "x: &x {<<: *x}\nservices: {web: {environment: *x}}\n",
        "quotes.sh": '#!/bin/sh\ngunicorn a:b "' + "$(a)" * 60 + "\n",
        "parts.sh": "#!/bin/sh\ngunicorn a:b " + "${A:-" * 60 + "}" * 60 + "\n",
        "bomb.xml": '<!DOCTYPE x [<!ENTITY a "b">]><uwsgi><uid>&a;</uid></uwsgi>',
        "u.ini": "[uwsgi]\na = %(b)\nb = %(a)\nfor-times = 99999999\nmule = %(_)\nendfor\n",
    }
    assert items(files)


# -- what is not about the web server --------------------------------------------------------------

CELERY = (
    "services:\n  web:\n    build: .\n    command: gunicorn shop:app\n    stop_signal: SIGQUIT\n"
    "  work:\n    build: .\n    command: celery -A shop worker\n    stop_signal: SIGQUIT\n"
    "  own:\n    build: .\n    command: ./start.sh\n    stop_signal: SIGQUIT\n"
    "  image:\n    build: .\n    stop_signal: SIGQUIT\n"
)


def groups(found: list[Item], name: str) -> list[Group]:
    return [item.row.group for item in found if item.option.name == name]


def test_a_signal_for_another_process_than_the_web_server_is_carried_over() -> None:
    found = items({"compose.yml": CELERY, "start.sh": "exec gunicorn shop:app\n"})

    assert groups(found, "stop_signal") == [
        Group.BY_HAND,
        Group.CARRIED,
        Group.BY_HAND,
        Group.BY_HAND,
    ]


@pytest.mark.parametrize(
    ("reader", "group"),
    [
        ({}, Group.NOT_NEEDED),
        ({"a.service": "[Service]\nPIDFile=/run/shop.pid\n"}, Group.BY_HAND),
        ({"b.service": "[Service]\nExecStop=/bin/sh stop.sh\n"}, Group.NOT_NEEDED),
        (
            {
                "b.service": "[Service]\nExecStop=/bin/sh stop.sh\n",
                "stop.sh": "kill $(cat /run/shop.pid)\n",
            },
            Group.BY_HAND,
        ),
    ],
)
@pytest.mark.parametrize(
    "files",
    [
        {"uwsgi.ini": "[uwsgi]\nmodule = shop\nhttp = :80\npidfile = /run/shop.pid\n"},
        procfile("gunicorn shop:app --pid /run/shop.pid"),
    ],
)
def test_a_pid_file_matters_where_something_reads_it(
    files: dict[str, str], reader: dict[str, str], group: Group
) -> None:
    assert groups(items({**files, **reader}), "pidfile") == [group]


def test_compressed_files_belong_to_the_static_files() -> None:
    ini = "[uwsgi]\nmodule = shop\nhttp = :80\ncheck-static = files\nstatic-gzip-dir = files/z\n"
    found = items({"uwsgi.ini": ini})

    assert groups(found, "check-static") == [Group.BY_HAND]
    assert groups(found, "static-gzip-dir") == [Group.NOT_NEEDED]


@pytest.mark.parametrize(
    ("value", "target", "group"),
    [
        ("30", DJANGO, Group.CARRIED),
        ("30", FLASK, Group.BY_HAND),  # bridge run has no such option
        ("true", DJANGO, Group.NOT_NEEDED),
    ],
)
def test_the_keep_alive_timeout_of_uwsgi_is_carried_over_where_it_can_be(
    value: str, target: dict[str, str], group: Group
) -> None:
    app = "mysite.wsgi" if target is DJANGO else "shop:app"
    start = f"uwsgi --http :80 --module {app} --http-keepalive={value}"
    files = {**target, **procfile(start)}

    assert groups(items(files), "http-keepalive") == [group]
    written = fixed(files, "X501", target="bridge")["Procfile"]
    assert ("--timeout-keep-alive 30" in written) is (group is Group.CARRIED)


def test_an_option_of_a_continued_line_is_reported_at_its_own_line() -> None:
    script = "exec gunicorn shop:app \\\n  --workers 3 \\\n  -b 'unix:/run/a.sock' --threads=2\n"
    found = {i.option.name: i.option.line for i in items({"start.sh": script})}

    assert (found["workers"], found["bind"], found["threads"]) == (2, 3, 3)


@pytest.mark.parametrize("target", [DJANGO, FLASK])
@pytest.mark.parametrize(
    "files",
    [
        {"uwsgi.ini": "[uwsgi]\nmodule = {app}\nhttp = :80\nchdir = /srv/shop\n"},
        {"uwsgi.ini": "[uwsgi]\nmodule = {app}\nhttp = :80\npythonpath = /srv/shop\n"},
        {"gunicorn.conf.py": "wsgi_app = '{app}'\nchdir = '/srv/shop'\n"},
        {"Procfile": "web: uwsgi --http :80 --module {app} --chdir /srv/shop --pythonpath .\n"},
    ],
)
def test_a_folder_that_is_carried_over_is_in_the_command(
    tmp_path: Path, files: dict[str, str], target: dict[str, str]
) -> None:
    app = "mysite.wsgi:application" if target is DJANGO else "shop:app"
    files = {name: text.format(app=app) for name, text in files.items()}
    made = plan(write(tmp_path, {**target, **files}), "--target", "bridge", "--no-introspect")

    listed = [each["group"] for each in made["inventory"] if each["why"].endswith("--app-dir")]
    assert set(listed) == {"carried"}
    assert "--app-dir /srv/shop" in made["server"]
    assert not [each for each in made["refused"] if "--app-dir" in each]


@pytest.mark.parametrize(
    "files",
    [
        procfile("uwsgi --http :80 --module shop:app --chdir /srv --pythonpath /srv/lib"),
        procfile("uwsgi --http :80 --module shop:app --pythonpath /srv --pythonpath lib"),
        procfile("gunicorn shop:app --pythonpath /srv,/srv/lib"),
        {"a.conf": "WSGIScriptAlias / /srv/shop.py\nWSGIDaemonProcess a python-path=/srv:/lib\n"},
        {"a.conf": "WSGIScriptAlias / /srv/a.py\nWSGIDaemonProcess a home=/a python-path=/srv\n"},
    ],
)
def test_a_second_folder_to_import_from_is_not_dropped(
    tmp_path: Path, files: dict[str, str]
) -> None:
    made = plan(write(tmp_path, {**FLASK, **files}), "--target", "bridge", "--no-introspect")

    assert [each for each in made["refused"] if "--app-dir takes one" in each]


@pytest.mark.parametrize("option", ["py-auto-reload", "python-autoreload", "python-auto-reload"])
def test_other_names_of_an_option_are_carried_over_too(option: str) -> None:
    start = f"uwsgi --http :80 --module shop:app --{option} 1"

    assert " --reload" in fixed({**FLASK, **procfile(start)}, "X501", target="bridge")["Procfile"]


@pytest.mark.parametrize(
    "files",
    [
        {"a.conf": "WSGIScriptAlias / /srv/shop.py\nWSGICallableObject app\n"},
        procfile("mod_wsgi-express start-server shop.py --callable-object app"),
    ],
)
def test_the_name_of_the_app_in_its_script_is_carried_over(files: dict[str, str]) -> None:
    with project_of({**FLASK, **files}, target="bridge") as project:
        served = inventory_of(project).served

    assert served is not None
    assert (served.app or "").endswith("shop:app")


def test_a_factory_that_waitress_calls_is_called(tmp_path: Path) -> None:
    files = {**FLASK, **procfile("waitress-serve --call shop:create_app")}
    made = plan(write(tmp_path, files), "--target", "bridge", "--no-introspect")

    assert "shop:create_app()" in made["server"]


# -- what the plan prints --------------------------------------------------------------------------

STAYS = {
    "app.py": "",
    "compose.yml": "services:\n  web:\n    build: .\n    command: gunicorn shop:app -w 3\n"
    "    ports:\n    - '80:80'\n    environment:\n      A: '1'\n",
    ".env.example": "B=1\n",
}


def test_what_merely_stays_in_its_file_is_counted_and_listed_on_request(tmp_path: Path) -> None:
    folder = write(tmp_path, {**FLASK, **STAYS})
    short, long = (migrate("plan", folder, *NEVER, *more).stdout for more in ((), ("--verbose",)))

    assert "compose.yml:4: -w = 3" in short
    assert "compose.yml:4: command = gunicorn shop:app -w 3" in short
    assert "ports" not in short
    assert "2 more stay as they are, in their files: --verbose lists them" in short
    assert "compose.yml:5: ports" in long
    assert "compose.yml:8: A = 1" in long
    assert "--verbose" not in long
    assert [each["stays"] for each in plan(folder)["inventory"]].count(True) == 2


@pytest.mark.parametrize("name", [".env.example", ".env.sample", "env.template.env", ".env.dist"])
def test_an_example_of_an_environment_file_is_no_deployment(name: str) -> None:
    assert items({name: "A=1\n"}) == []
    compose = f"services:\n  web:\n    build: .\n    env_file: {name}\n"
    named = items({name: "A=1\n", "compose.yml": compose})
    assert values(named, "A") == ["1"]  # this one is


# -- Passenger in nginx ----------------------------------------------------------------------------

PASSENGER = """server {
    server_name shop.example;
    root /srv/shop/public;
    passenger_enabled on;
    passenger_app_root /srv/shop;
    passenger_startup_file shop.py;
    passenger_app_type wsgi;
    passenger_env_var A 1;
    passenger_env_var B "2 3";
    passenger_max_requests 500;
    passenger_user shop;
    passenger_colour blue;
}
"""


def test_the_directives_of_passenger_in_nginx_are_read() -> None:
    with project_of({**FLASK, "shop.conf": PASSENGER}, target="bridge") as project:
        found = inventory_of(project)

    assert found.served is not None
    assert (found.served.program, found.served.app) == ("passenger", "shop")
    assert found.served.value("env") == ["A=1", "B=2 3"]
    grouped = {i.option.shown: (i.option.line, i.row.group) for i in found.items}
    assert grouped["passenger_app_root"] == (5, Group.CARRIED)
    assert grouped["passenger_user"] == (11, Group.BY_HAND)
    assert grouped["passenger_enabled"] == (4, Group.NOT_NEEDED)
    assert grouped["passenger_colour"] == (12, Group.NOT_UNDERSTOOD)
    assert "server_name" not in grouped


def test_an_apache_with_passenger_names_its_app() -> None:
    conf = "<VirtualHost *:80>\nPassengerAppRoot /srv/shop\nPassengerStartupFile shop.py\n"
    with project_of({**FLASK, "shop.conf": conf}, target="bridge") as project:
        served = inventory_of(project).served

    assert served is not None
    assert served.app == "shop"


@pytest.mark.parametrize(
    ("directive", "group"),
    [
        ("passenger_min_instances 2", Group.BY_HAND),
        ("passenger_max_instances 7", Group.BY_HAND),
        ("passenger_max_instances_per_app 7", Group.BY_HAND),
        ("passenger_app_env production", Group.BY_HAND),
        ("passenger_python /opt/shop/bin/python", Group.BY_HAND),
        ("passenger_concurrency_model thread", Group.NOT_NEEDED),
    ],
)
def test_what_the_new_command_lacks_of_passenger_is_not_carried_over(
    directive: str, group: Group
) -> None:
    conf = PASSENGER.replace("passenger_enabled on;", f"{directive};")
    with project_of({**FLASK, "shop.conf": conf}, target="bridge") as project:
        grouped = {i.option.shown: i.row.group for i in inventory_of(project).items}

    assert grouped[directive.split()[0]] is group
