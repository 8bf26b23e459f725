"""The command line of `bridge migrate`: exit codes, formats, configuration, fixes, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli.commands import app
from tests.harness.http import Http1Client
from tests.migrate.starting import started

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
SETTINGS = 'SECRET_KEY = "x"\nMIDDLEWARE = ["shop.middleware.Header"]\nROOT_URLCONF = "shop.urls"\n'
HEAD = "from django.utils.deprecation import MiddlewareMixin\n\n\n"
MIDDLEWARE = (
    f"{HEAD}class Header(MiddlewareMixin):\n    def __init__(self, get_response):\n"
    "        self.get_response = get_response\n        self.async_mode = False\n"
)
ASGI = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
FLASK = (
    "from flask import Flask\n\n\ndef make(name):\n    app = Flask(__name__)\n\n"
    "    @app.get('/')\n    async def index():\n        return f'hello {name}'\n\n"
    "    return app\n\n\napp = make('app')\n"
)
FIXED = MIDDLEWARE.replace("self.get_response = get_response", "super().__init__(get_response)")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    texts = {
        "manage.py": MANAGE,
        "shop/__init__.py": "",
        "shop/settings.py": SETTINGS,
        "shop/middleware.py": MIDDLEWARE,
        "shop/urls.py": "urlpatterns = []\n",
        "shop/asgi.py": ASGI,
    }
    (tmp_path / "shop").mkdir()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def migrate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["migrate", *map(str, arguments)])


def check(site: Path, *arguments: str) -> Result:
    return migrate("check", site, "--no-introspect", *arguments)


def rules_in(result: Result) -> list[str]:
    return [each["rule"] for each in json.loads(result.stdout)["findings"]]


# -- check -----------------------------------------------------------------------------------------


def test_findings_are_reported_with_rule_place_reason_and_help(site: Path) -> None:
    result = check(site, "--select", "M203")

    assert result.exit_code == 1
    assert result.stdout.startswith("M203 error: a MiddlewareMixin whose __init__ does not call")
    assert "  shop/middleware.py:5:5: under ASGI every request is a 500" in result.stdout
    assert "[S, E/E, fix]\n  help: call super().__init__(get_response)\n" in result.stdout
    assert "Found 1 finding for target bridge: 1 error." in result.stdout
    assert "1 fixable with `bridge migrate fix`." in result.stdout


def test_a_clean_project_exits_with_0(site: Path) -> None:
    (site / "shop" / "middleware.py").write_text(FIXED)

    result = check(site, "--select", "M203")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Nothing found for target bridge.")


@pytest.mark.parametrize(
    ("level", "code"), [("info", 1), ("error", 1), ("critical", 0), ("never", 0)]
)
def test_fail_level_decides_the_exit_code(site: Path, level: str, code: int) -> None:
    assert check(site, "--select", "M203", "--fail-level", level).exit_code == code


def test_rules_are_selected_by_code_prefix(site: Path) -> None:
    options = ("--verbose", "--format", "json")

    assert rules_in(check(site, "--select", "m2", *options)) == ["M203", "M201"]
    assert rules_in(check(site, "--select", "M2", "--ignore", "M203", *options)) == ["M201"]


def test_the_target_decides_which_findings_are_reported(site: Path) -> None:
    options = ("--select", "M204", "--verbose", "--format", "json")
    (site / "shop" / "middleware.py").write_text("class Header:\n    pass\n")

    assert rules_in(check(site, "--target", "native", *options)) == ["M204"]
    through_bridge = ASGI.replace("django.core.asgi", "bridge.contrib.django")
    (site / "shop" / "asgi.py").write_text(through_bridge)
    assert rules_in(check(site, "--target", "bridge", *options)) == []
    assert rules_in(check(site, *options)) == [], "auto: stay, with the findings of bridge"


def test_sarif_names_rules_levels_and_places(site: Path) -> None:
    (run,) = json.loads(check(site, "--select", "M203", "--format", "sarif").stdout)["runs"]

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["M203"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("M203", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "shop/middleware.py"
    assert place["region"] == {"startLine": 5, "startColumn": 5}
    assert run["originalUriBaseIds"]["PROJECT"]["uri"] == f"{site.as_uri()}/"


def test_markdown_is_a_table_for_each_rule(site: Path) -> None:
    text = check(site, "--select", "M203", "--format", "markdown").stdout

    assert text.startswith("# Found 1 finding for target bridge: 1 error\n")
    assert "| `shop/middleware.py:5:5` | under ASGI every request is a 500" in text


def test_a_suppressed_finding_is_counted(site: Path) -> None:
    text = MIDDLEWARE.replace("get_response):", "get_response):  # bridge: ignore[M203] known")
    (site / "shop" / "middleware.py").write_text(text)

    result = check(site, "--select", "M203")

    assert result.exit_code == 0
    assert "1 finding suppressed by comments." in result.stdout


@pytest.mark.parametrize("mark", ["\f", "\v", "\u2028", "\x85", "\x1c"])
def test_a_finding_is_suppressed_after_characters_that_do_not_end_a_python_line(
    site: Path, mark: str
) -> None:
    text = MIDDLEWARE.replace("get_response):", "get_response):  # bridge: ignore[M203] known")
    (site / "shop" / "middleware.py").write_text(f"# one{mark}line\n{text}", "utf-8")

    assert "1 finding suppressed by comments." in check(site, "--select", "M203").stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_not_read(site: Path) -> None:
    for name in ("pipe.py", "requirements.txt", "Procfile"):
        os.mkfifo(site / name)
    (site / "broken.py").symlink_to(site / "nowhere.py")

    done = subprocess.run(
        [sys.executable, "-m", "bridge", "migrate", "check", site, "--no-introspect"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "M203 error" in done.stdout
    assert done.stderr == "bridge: broken.py cannot be read: No such file or directory\n"


# -- introspection ---------------------------------------------------------------------------------


def test_the_project_is_introspected_under_its_own_interpreter(site: Path) -> None:
    options = ("--python", sys.executable, "--verbose", "--format", "json")
    result = migrate("check", site, *options)

    report = json.loads(result.stdout)
    assert report["introspected"] is True
    (hops,) = [each for each in report["findings"] if each["rule"] == "M201"]
    assert (hops["source"], hops["message"][:2]) == ("R", "3 ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import not_installed_anywhere\n", "No module named 'not_installed_anywhere'"),
        ("raise RuntimeError('no database url')\n", "RuntimeError: no database url"),
        ("import os\nos._exit(9)\n", "the process exited without an error message"),
    ],
)
def test_failed_introspection_exits_with_3_and_the_findings_of_the_sources(
    site: Path, line: str, message: str
) -> None:
    (site / "shop" / "settings.py").write_text(line + SETTINGS)

    result = migrate("check", site, "--select", "M203")

    assert result.exit_code == 3
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Use --no-introspect to check the sources only" in result.stderr
    assert "M203 error" in result.stdout


def test_a_project_that_hangs_is_killed(site: Path) -> None:
    (site / "shop" / "settings.py").write_text("import time\ntime.sleep(600)\n")
    table = '[tool.bridge.migrate]\nintrospect-timeout-s = 0.2\nselect = ["M203"]\n'
    (site / "pyproject.toml").write_text(table)

    result = migrate("check", site)

    assert result.exit_code == 3
    assert "django.setup() with shop.settings did not finish within 0.2 s" in result.stderr


def test_a_missing_interpreter_is_reported(site: Path) -> None:
    result = migrate("check", site, "--python", site / "no" / "python")

    assert result.exit_code == 3
    assert "cannot be run: No such file or directory" in result.stderr


# -- configuration and baseline --------------------------------------------------------------------


def test_the_command_line_overrides_the_configuration(site: Path) -> None:
    table = '[tool.bridge.migrate]\nselect = ["M203"]\nfail-level = "never"\nintrospect = false\n'
    (site / "pyproject.toml").write_text(table)

    assert migrate("check", site).exit_code == 0
    assert migrate("check", site, "--fail-level", "error").exit_code == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("targets = 'x'", "has no key 'targets'; the keys are target, settings"),
        ("target = 'wsgi'", "target = 'wsgi': must be one of auto, bridge, native"),
        ("select = 'M203'", "select = 'M203': must be a list"),
        ("introspect = 1", "introspect = 1: must be a bool"),
        ("introspect-timeout-s = 0", "must be more than 0 seconds"),
        ("select = ['Z1']", "no rule 'Z1'"),
        ("select = [", "pyproject.toml: "),
    ],
)
def test_an_invalid_configuration_is_one_line(site: Path, table: str, message: str) -> None:
    (site / "pyproject.toml").write_text(f"[tool.bridge.migrate]\n{table}\n")

    result = check(site)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_baseline_hides_existing_findings_but_not_new_ones(site: Path) -> None:
    options = ("--select", "M203", "--baseline", str(site / "baseline.json"))
    assert check(site, *options, "--update-baseline").exit_code == 0

    again = check(site, *options)
    assert again.exit_code == 0
    assert "1 finding in the baseline." in again.stdout

    code = site / "shop" / "middleware.py"
    code.write_text("# one line down\n" + MIDDLEWARE)
    assert check(site, *options).exit_code == 0, "it is identified by its text, not by its line"
    code.write_text(MIDDLEWARE + MIDDLEWARE.removeprefix(HEAD))
    assert check(site, *options).exit_code == 1, "a second equal finding is new"


def test_an_invalid_baseline_is_one_line(site: Path) -> None:
    (site / "baseline.json").write_text("{}[")

    result = check(site, "--baseline", str(site / "baseline.json"))

    assert result.exit_code == 2
    assert "is not a baseline file" in result.stderr


# -- fix -------------------------------------------------------------------------------------------


def fix(site: Path, *arguments: str) -> Result:
    return migrate("fix", site, "--no-introspect", "--select", "M203", *arguments)


def test_fix_shows_a_diff_and_writes_nothing(site: Path) -> None:
    result = fix(site)

    assert "--- a/shop/middleware.py\n+++ b/shop/middleware.py\n" in result.stdout
    assert "+        super().__init__(get_response)\n" in result.stdout
    assert "1 fix in 1 file would be written with --write." in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE


def test_git_accepts_the_diff(site: Path) -> None:
    diff = fix(site).stdout.encode()

    subprocess.run(["git", "apply", "--check"], input=diff, cwd=site, check=True, timeout=60)


def test_fix_writes_and_a_second_run_changes_nothing(site: Path) -> None:
    code = site / "shop" / "middleware.py"
    code.chmod(0o640)

    first, second = fix(site, "--write"), fix(site, "--write")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "1 fix written to 1 file. 0 findings left." in first.stderr
    assert (second.stdout, second.stderr) == ("", "bridge: Nothing to fix.\n")
    assert code.read_text() == FIXED
    assert code.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in code.parent.iterdir() if path.suffix == ".tmp"] == []


def test_findings_of_the_baseline_are_not_fixed(site: Path) -> None:
    baseline = ("--baseline", str(site / "baseline.json"))
    assert check(site, "--select", "M203", *baseline, "--update-baseline").exit_code == 0
    (site / "shop" / "new.py").write_text(MIDDLEWARE.replace("Header", "Another"))

    result = fix(site, "--write", *baseline)

    assert "1 fix written to 1 file. 0 findings left." in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE
    assert "super().__init__" in (site / "shop" / "new.py").read_text()


def test_encoding_newlines_and_symlinks_are_kept(site: Path) -> None:
    code, real = site / "shop" / "middleware.py", site / "real.txt"
    head = "# coding: latin-1\r\n# café\r\n"
    real.write_bytes((head + MIDDLEWARE.replace("\n", "\r\n")).encode("latin-1"))
    code.unlink()
    code.symlink_to(real)

    fix(site, "--write")

    assert code.is_symlink()
    assert real.read_bytes() == (head + FIXED.replace("\n", "\r\n")).encode("latin-1")


def test_a_symlink_target_outside_the_project_is_not_changed(site: Path) -> None:
    outside, inside = site / "elsewhere.py", site / "project"
    inside.mkdir()
    outside.write_text(MIDDLEWARE)
    (inside / "linked.py").symlink_to(outside)
    (inside / "own.py").write_text(MIDDLEWARE)
    (site / "by_link").symlink_to(inside)

    result = fix(site / "by_link", "--write")

    assert result.exit_code == 1
    assert "1 fix written to 1 file. 1 finding left." in result.stderr
    assert (outside.read_text(), (inside / "own.py").read_text()) == (MIDDLEWARE, FIXED)


def test_unsafe_fixes_need_an_option(site: Path) -> None:
    call = "    def __call__(self, request):\n        return self.get_response(request) or 1\n"
    (site / "shop" / "middleware.py").write_text(f"{HEAD}class A(MiddlewareMixin):\n{call}")
    options = ("--no-introspect", "--target", "native", "--select", "M202")

    assert migrate("fix", site, *options).stdout == ""
    assert "+    async_capable = False" in migrate("fix", site, *options, "--unsafe-fixes").stdout


def test_uncommitted_changes_prevent_writing_unless_allowed(site: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=site, check=True, timeout=60)

    result = fix(site, "--write")
    assert result.exit_code == 2
    assert "git has uncommitted changes" in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE

    assert fix(site).exit_code == 0, "the diff alone is still shown"
    assert fix(site, "--write", "--allow-dirty").exit_code == 0
    assert (site / "shop" / "middleware.py").read_text() == FIXED


def committed(site: Path) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *arguments], cwd=site, check=True, timeout=60)


def test_new_files_are_logged_with_the_command_that_removes_them(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "shop" / "asgi.py").unlink()
    (site / "shop" / "wsgi.py").write_text(ASGI.replace("asgi", "wsgi"))
    committed(site)
    monkeypatch.chdir(site.parent)

    result = migrate("fix", site, "--no-introspect", "--select", "E101", "--write")

    assert f"when reverting: rm {site.name}/shop/asgi.py\n" in result.stderr
    assert (site / "shop" / "asgi.py").exists()


def test_files_that_git_ignores_are_not_written_unless_allowed(site: Path) -> None:
    (site / ".gitignore").write_text("shop/middleware.py\n")
    committed(site)

    result = fix(site, "--write")
    assert result.exit_code == 2
    assert "git ignores files that would be written (shop/middleware.py)" in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE

    assert fix(site, "--write", "--allow-dirty").exit_code == 0
    assert (site / "shop" / "middleware.py").read_text() == FIXED


def test_a_tracked_file_is_not_ignored_whatever_the_patterns_say(site: Path) -> None:
    committed(site)
    (site / ".gitignore").write_text("*.py\n")
    committed(site)

    assert fix(site, "--write").exit_code == 0
    assert (site / "shop" / "middleware.py").read_text() == FIXED


def test_a_broken_repository_prevents_writing_unless_allowed(site: Path) -> None:
    (site / ".git").write_text("gitdir: /nowhere/at/all\n")

    result = fix(site, "--write")

    assert result.exit_code == 2
    assert "git cannot report its state" in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE
    assert fix(site, "--write", "--allow-dirty").exit_code == 0


def test_a_read_only_file_keeps_all_files_unchanged(site: Path) -> None:
    other = site / "shop" / "another.py"
    other.write_text(MIDDLEWARE)
    (site / "shop" / "middleware.py").chmod(0o444)

    result = fix(site, "--write")

    assert result.exit_code == 2
    assert "middleware.py is read-only; nothing was written" in result.stderr
    assert other.read_text() == MIDDLEWARE


# -- plan, explain ---------------------------------------------------------------------------------


def plan(site: Path, *arguments: str) -> dict[str, Any]:
    result = migrate("plan", site, "--no-introspect", "--format", "json", *arguments)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_plan_recommends_to_stay_without_async_code(site: Path) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT\n")

    made = plan(site)

    assert (made["move"], made["server"]) == ("stay", made["rollback"])
    assert made["rollback"] == "gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT"
    assert (made["processes"], made["threads"]) == (9, 1)


def test_plan_moves_a_project_with_async_views_through_bridge(site: Path) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT\n")
    (site / "shop" / "views.py").write_text("async def live(request): ...\n")
    (site / "shop" / "settings.py").write_text(
        f'{SETTINGS}DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql"}}}}\n'
    )

    made = plan(site)

    assert (made["move"], made["places"]) == ("bridge", ["shop/views.py:1 live"])
    assert made["server"] == (
        "uvicorn shop.asgi:application --host 0.0.0.0 --port $PORT --workers 9 --no-access-log"
    )
    assert (made["processes"], made["threads"]) == (9, 4)
    assert "now 9; then 9 processes x 4 threads = 36" in made["connections"][0]


def test_plan_counts_the_pool_and_warns_without_a_bound(site: Path) -> None:
    settings = site / "shop" / "settings.py"
    engine = '"ENGINE": "django.db.backends.postgresql"'
    settings.write_text(f'{SETTINGS}DATABASES = {{"default": {{{engine}}}}}\n')
    assert "no bound" in plan(site, "--target", "native")["connections"][0]

    pool = '"OPTIONS": {"pool": {"max_size": 5}}'
    settings.write_text(f'{SETTINGS}DATABASES = {{"default": {{{engine}, {pool}}}}}\n')
    made = plan(site, "--target", "native")
    assert "1 process x 5 of the pool = 5" in made["connections"][0]


@pytest.mark.parametrize(
    ("command", "server"),
    [
        ("gunicorn app:app -w 2 -b :9000", "--host 0.0.0.0 --port 9000 --workers 2 --threads 4"),
        (
            "gunicorn 'app:make(\"x\")' -w 9 --threads 1 -b :9000",
            "--host 0.0.0.0 --port 9000 --workers 9 --threads 4",
        ),
        ("gunicorn app:app -k gevent -w 4 --worker-connections 100 -b :9000", "--workers 4"),
        ("uwsgi --http :9000 -w app:app -p 9", "--workers 9 --threads 4"),
        ("waitress-serve --threads 6 app:app", "--threads 6"),
        ("", "--threads 4"),
    ],
)
def test_plan_for_other_frameworks_starts_bridge_run(
    tmp_path: Path, command: str, server: str
) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    if command:
        (tmp_path / "Procfile").write_text(f"web: {command}\n")

    made = plan(tmp_path)

    app = "MODULE:APP" if not command else "'app:make(\"x\")'" if "make" in command else "app:app"
    assert made["server"].startswith(f"bridge run {app} --server uvicorn")
    assert made["server"].endswith(server)
    assert made["threads_where"] == ""


def test_plan_serves_an_asgi_app_directly(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("@app.get('/')\nasync def live(): ...\n")
    (tmp_path / "Procfile").write_text("web: gunicorn app:app -k uvicorn.workers.UvicornWorker\n")

    assert plan(tmp_path)["server"] == "uvicorn app:app"


def test_the_server_of_the_plan_serves_the_app(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "Procfile").write_text("web: gunicorn 'app:make(\"x\")' -w 1 -b 127.0.0.1:$PORT\n")
    (tmp_path / "Procfile").write_text(f"web: {plan(tmp_path)['server']}\n")

    with started(tmp_path) as server:
        assert Http1Client(server.port).fetch("GET", "/").body == b"hello x"


@pytest.mark.parametrize(
    ("config", "processes", "threads", "reason"),
    [
        ("workers = 2 * os.cpu_count() + 1\nthreads = 8\n", None, 8, "a computed number of proc"),
        ("workers = 2\nthreads = int(os.environ['N'])\n", 2, None, "a computed number of threads"),
        ("worker_class = 'gevent'\nworkers = 4\n", 4, 40, "4 processes x 1000 green threads"),
    ],
)
def test_plan_does_not_invent_numbers(
    site: Path, config: str, processes: int | None, threads: int | None, reason: str
) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi\n")
    (site / "gunicorn.conf.py").write_text(f"import os\n\n{config}")
    engine = '{"default": {"ENGINE": "django.db.backends.postgresql"}}'
    (site / "shop" / "settings.py").write_text(f"{SETTINGS}DATABASES = {engine}\n")

    made = plan(site, "--target", "bridge")

    assert (made["processes"], made["threads"]) == (processes, threads)
    assert reason in made["threads_why"]
    assert "None" not in migrate("plan", site, "--no-introspect", "--target", "bridge").stdout


def test_plan_counts_one_process_and_one_thread_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "Procfile").write_text("web: gunicorn app:app --workers 1\n")

    assert (
        plan(tmp_path, "--target", "auto")["threads_why"]
        == "at least 4 (now gunicorn: 1 process x 1 thread)"
    )


@pytest.mark.parametrize(
    ("files", "processes", "threads"),
    [
        ({".env": "GUNICORN_CMD_ARGS=-w 2 --threads 9\n"}, 2, 9),
        ({"Dockerfile": 'ENV GUNICORN_CMD_ARGS="--threads=9"\n'}, 3, 9),
        (
            {".env": "GUNICORN_CMD_ARGS=-w 2\n", "compose.yaml": "GUNICORN_CMD_ARGS: -w 4\n"},
            None,
            8,
        ),
        ({"gunicorn.conf.py": "workers = 5\n", ".env": "GUNICORN_CMD_ARGS=-w 6\n"}, 6, 8),
    ],
)
def test_plan_counts_the_options_in_the_variable_of_gunicorn(
    site: Path, files: dict[str, str], processes: int | None, threads: int
) -> None:
    """The order of gunicorn: configuration file, variable, command line."""
    workers = "" if "gunicorn.conf.py" in files else "workers = 3\n"
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -t 30\n")
    (site / "gunicorn.conf.py").write_text(f"threads = 8\n{workers}")
    for name, text in files.items():
        with (site / name).open("a") as file:
            file.write(text)

    made = plan(site)

    assert (made["processes"], made["threads"]) == (processes, threads)


def test_the_command_line_overrides_the_variable_of_gunicorn(site: Path) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -w 3 --threads 7\n")
    (site / ".env").write_text("GUNICORN_CMD_ARGS=-w 2 --threads 9\n")

    assert (plan(site)["processes"], plan(site)["threads"]) == (3, 7)


def test_plan_sets_the_threads_of_django_in_the_application_of_bridge(site: Path) -> None:
    assert plan(site, "--target", "bridge")["threads_where"] == (
        "in asgi.py, from bridge.contrib.django: get_asgi_application(threads=4)"
    )
    assert plan(site, "--target", "native")["threads_where"] == ""


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_plan_has_headings(site: Path, format: str) -> None:
    result = migrate("plan", site, "--no-introspect", "--format", format)

    assert f"Plan for {site.name}" in result.stdout
    assert "stay on WSGI" in result.stdout
    assert "Roll back" in result.stdout


def test_explain_prints_before_and_after() -> None:
    result = migrate("explain", "m203")

    assert result.exit_code == 0
    assert result.stdout.startswith("M203 middleware-init-without-super\n")
    assert result.stdout.index("\nBefore:\n") < result.stdout.index("\nAfter:\n")


def test_explain_lists_the_rules_and_rejects_others() -> None:
    assert "M202  E/-  unsafe  a MiddlewareMixin" in migrate("explain").stdout
    result = migrate("explain", "M999")
    assert result.exit_code == 2
    assert "no rule 'M999'; those with M are M201, M202" in result.stderr


# -- bad input -------------------------------------------------------------------------------------


def test_a_path_that_is_not_a_project_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()

    for path, message in [
        (tmp_path, "is not a project: it contains no Python file"),
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "notes.txt", "is a file: pass the project's folder"),
    ]:
        result = migrate("check", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_parsed_exits_with_2_after_the_findings(site: Path) -> None:
    (site / "shop" / "newer.py").write_text("class Middleware:\n    maybe x = 1\n")

    result = check(site, "--select", "M203")

    assert result.exit_code == 2
    assert "shop/newer.py:2: has a syntax error, or syntax newer than" in result.stderr
    assert "M203 error" in result.stdout


def test_a_missing_settings_module_is_reported(site: Path) -> None:
    result = check(site, "--settings", "shop.nowhere")

    assert result.exit_code == 2
    assert "no settings module 'shop.nowhere'" in result.stderr


def test_without_libcst_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['libcst'] = None; sys.argv[0] = 'bridge'\n"
        "from bridge.cli.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "migrate", "check", "."],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=120,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == (
        'bridge: bridge migrate needs libcst: pip install "wsgi-asgi-bridge[migrate]"\n'
    )
