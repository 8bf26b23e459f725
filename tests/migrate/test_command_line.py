"""`bridge migrate`, as it is typed: exit codes, formats, configuration, fixes, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

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


def test_findings_are_told_with_rule_place_reason_and_what_to_do(site: Path) -> None:
    result = check(site, "--select", "M203")

    assert result.exit_code == 1
    assert result.stdout.startswith("M203 error: a MiddlewareMixin whose __init__ does not call")
    assert "  shop/middleware.py:5:5: Header.__init__ does not call" in result.stdout
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
def test_the_level_decides_about_the_exit_code(site: Path, level: str, code: int) -> None:
    assert check(site, "--select", "M203", "--fail-level", level).exit_code == code


def test_rules_are_chosen_by_how_their_codes_start(site: Path) -> None:
    assert rules_in(check(site, "--select", "m2", "--format", "json")) == ["M203", "M201"]
    assert rules_in(check(site, "--select", "M2", "--ignore", "M203", "--format", "json")) == [
        "M201"
    ]


def test_the_target_decides_what_matters(site: Path) -> None:
    chosen = ("--select", "M204", "--format", "json")
    (site / "shop" / "middleware.py").write_text("class Header:\n    pass\n")

    assert rules_in(check(site, "--target", "native", *chosen)) == ["M204"]
    through_bridge = ASGI.replace("django.core.asgi", "bridge.contrib.django")
    (site / "shop" / "asgi.py").write_text(through_bridge)
    assert rules_in(check(site, "--target", "bridge", *chosen)) == []
    assert rules_in(check(site, *chosen)) == [], "auto: stay, and so the findings of bridge"


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
    assert "| `shop/middleware.py:5:5` | Header.__init__ does not call" in text


def test_a_suppressed_finding_is_counted(site: Path) -> None:
    text = MIDDLEWARE.replace("get_response):", "get_response):  # bridge: ignore[M203] known")
    (site / "shop" / "middleware.py").write_text(text)

    result = check(site, "--select", "M203")

    assert result.exit_code == 0
    assert "1 finding suppressed by comments." in result.stdout


@pytest.mark.parametrize("mark", ["\f", "\v", "\u2028", "\x85", "\x1c"])
def test_a_finding_is_suppressed_behind_marks_that_end_no_line_of_python(
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
    told = "bridge: broken.py cannot be read: No such file or directory\n"
    assert done.stderr == told


# -- introspection ---------------------------------------------------------------------------------


def test_the_project_is_asked_under_its_own_interpreter(site: Path) -> None:
    result = migrate("check", site, "--python", sys.executable, "--format", "json")

    report = json.loads(result.stdout)
    assert report["introspected"] is True
    (hops,) = [each for each in report["findings"] if each["rule"] == "M201"]
    assert (hops["source"], hops["message"][:2]) == ("R", "3 ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import not_installed_anywhere\n", "No module named 'not_installed_anywhere'"),
        ("raise RuntimeError('no database url')\n", "RuntimeError: no database url"),
        ("import os\nos._exit(9)\n", "it ended without a word"),
    ],
)
def test_a_project_that_cannot_be_asked_exits_with_3_and_what_was_found(
    site: Path, line: str, words: str
) -> None:
    (site / "shop" / "settings.py").write_text(line + SETTINGS)

    result = migrate("check", site, "--select", "M203")

    assert result.exit_code == 3
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "--no-introspect checks the sources alone" in result.stderr
    assert "M203 error" in result.stdout


def test_a_project_that_hangs_is_ended(site: Path) -> None:
    (site / "shop" / "settings.py").write_text("import time\ntime.sleep(600)\n")
    table = '[tool.bridge.migrate]\nintrospect-timeout-s = 0.2\nselect = ["M203"]\n'
    (site / "pyproject.toml").write_text(table)

    result = migrate("check", site)

    assert result.exit_code == 3
    assert "django.setup() of shop.settings was not done after 0.2 s" in result.stderr


def test_an_interpreter_that_is_not_there_is_told(site: Path) -> None:
    result = migrate("check", site, "--python", site / "no" / "python")

    assert result.exit_code == 3
    assert "cannot be run: No such file or directory" in result.stderr


# -- configuration and baseline --------------------------------------------------------------------


def test_the_configuration_holds_and_the_command_line_goes_before_it(site: Path) -> None:
    table = '[tool.bridge.migrate]\nselect = ["M203"]\nfail-level = "never"\nintrospect = false\n'
    (site / "pyproject.toml").write_text(table)

    assert migrate("check", site).exit_code == 0
    assert migrate("check", site, "--fail-level", "error").exit_code == 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("targets = 'x'", "has no key 'targets'; it takes target, settings"),
        ("target = 'wsgi'", "target = 'wsgi': takes auto, bridge, native"),
        ("select = 'M203'", "select = 'M203': takes a list"),
        ("introspect = 1", "introspect = 1: takes a bool"),
        ("introspect-timeout-s = 0", "takes seconds, more than 0"),
        ("select = ['Z1']", "there is no rule 'Z1'"),
        ("select = [", "pyproject.toml: "),
    ],
)
def test_a_wrong_configuration_is_one_line(site: Path, table: str, words: str) -> None:
    (site / "pyproject.toml").write_text(f"[tool.bridge.migrate]\n{table}\n")

    result = check(site)

    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_baseline_freezes_what_is_there_and_nothing_new(site: Path) -> None:
    chosen = ("--select", "M203", "--baseline", str(site / "baseline.json"))
    assert check(site, *chosen, "--update-baseline").exit_code == 0

    frozen = check(site, *chosen)
    assert frozen.exit_code == 0
    assert "1 finding in the baseline." in frozen.stdout

    code = site / "shop" / "middleware.py"
    code.write_text("# one line down\n" + MIDDLEWARE)
    assert check(site, *chosen).exit_code == 0, "it is known by its text, not by its line"
    code.write_text(MIDDLEWARE + MIDDLEWARE.removeprefix(HEAD))
    assert check(site, *chosen).exit_code == 1, "a second one of the kind is new"


def test_a_baseline_that_is_something_else_is_one_line(site: Path) -> None:
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


def test_the_diff_is_one_that_git_applies(site: Path) -> None:
    diff = fix(site).stdout.encode()

    subprocess.run(["git", "apply", "--check"], input=diff, cwd=site, check=True, timeout=60)


def test_fix_writes_and_a_second_one_changes_nothing(site: Path) -> None:
    code = site / "shop" / "middleware.py"
    code.chmod(0o640)

    first, second = fix(site, "--write"), fix(site, "--write")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "1 fix written to 1 file. 0 findings left." in first.stderr
    assert (second.stdout, second.stderr) == ("", "bridge: Nothing to fix.\n")
    assert code.read_text() == FIXED
    assert code.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in code.parent.iterdir() if path.suffix == ".tmp"] == []


def test_what_is_in_the_baseline_is_not_fixed(site: Path) -> None:
    baseline = ("--baseline", str(site / "baseline.json"))
    assert check(site, "--select", "M203", *baseline, "--update-baseline").exit_code == 0
    (site / "shop" / "new.py").write_text(MIDDLEWARE.replace("Header", "Another"))

    result = fix(site, "--write", *baseline)

    assert "1 fix written to 1 file. 0 findings left." in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE
    assert "super().__init__" in (site / "shop" / "new.py").read_text()


def test_encoding_newlines_and_symlink_stay_what_they_are(site: Path) -> None:
    code, real = site / "shop" / "middleware.py", site / "real.txt"
    head = "# coding: latin-1\r\n# café\r\n"
    real.write_bytes((head + MIDDLEWARE.replace("\n", "\r\n")).encode("latin-1"))
    code.unlink()
    code.symlink_to(real)

    fix(site, "--write")

    assert code.is_symlink()
    assert real.read_bytes() == (head + FIXED.replace("\n", "\r\n")).encode("latin-1")


def test_what_a_symlink_names_outside_of_the_project_is_not_changed(site: Path) -> None:
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


def test_unsafe_fixes_have_to_be_asked_for(site: Path) -> None:
    call = "    def __call__(self, request):\n        return self.get_response(request) or 1\n"
    (site / "shop" / "middleware.py").write_text(f"{HEAD}class A(MiddlewareMixin):\n{call}")
    chosen = ("--no-introspect", "--target", "native", "--select", "M202")

    assert migrate("fix", site, *chosen).stdout == ""
    assert "+    async_capable = False" in migrate("fix", site, *chosen, "--unsafe-fixes").stdout


def test_a_dirty_tree_is_left_alone_unless_told(site: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=site, check=True, timeout=60)

    result = fix(site, "--write")
    assert result.exit_code == 2
    assert "git has changes that are not committed" in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE

    assert fix(site).exit_code == 0, "the diff alone can be had"
    assert fix(site, "--write", "--allow-dirty").exit_code == 0
    assert (site / "shop" / "middleware.py").read_text() == FIXED


def committed(site: Path) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=site, check=True, timeout=60)


def test_new_files_are_told_with_what_takes_them_back(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "shop" / "asgi.py").unlink()
    (site / "shop" / "wsgi.py").write_text(ASGI.replace("asgi", "wsgi"))
    committed(site)
    monkeypatch.chdir(site.parent)

    result = migrate("fix", site, "--no-introspect", "--select", "E101", "--write")

    assert f"taken back by themselves: rm {site.name}/shop/asgi.py\n" in result.stderr
    assert (site / "shop" / "asgi.py").exists()


def test_files_that_git_ignores_are_left_alone_unless_told(site: Path) -> None:
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


def test_a_repository_that_git_does_not_read_is_left_alone_unless_told(site: Path) -> None:
    (site / ".git").write_text("gitdir: /nowhere/at/all\n")

    result = fix(site, "--write")

    assert result.exit_code == 2
    assert "git does not tell what is committed there" in result.stderr
    assert (site / "shop" / "middleware.py").read_text() == MIDDLEWARE
    assert fix(site, "--write", "--allow-dirty").exit_code == 0


def test_a_read_only_file_keeps_all_files_as_they_are(site: Path) -> None:
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


def test_plan_says_stay_where_nothing_is_async(site: Path) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT\n")

    told = plan(site)

    assert (told["move"], told["server"]) == ("stay", told["rollback"])
    assert told["rollback"] == "gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT"
    assert (told["processes"], told["threads"]) == (9, 1)


def test_plan_moves_a_project_with_async_views_through_bridge(site: Path) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi -w 9 --bind 0.0.0.0:$PORT\n")
    (site / "shop" / "views.py").write_text("async def live(request): ...\n")
    (site / "shop" / "settings.py").write_text(
        f'{SETTINGS}DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql"}}}}\n'
    )

    told = plan(site)

    assert (told["move"], told["places"]) == ("bridge", ["shop/views.py:1 live"])
    assert told["server"] == (
        "uvicorn shop.asgi:application --workers 4 --host 0.0.0.0 --port $PORT"
    )
    assert (told["processes"], told["threads"]) == (4, 4)
    assert "now 9; then 4 processes x 4 threads = 16" in told["connections"][0]


def test_plan_counts_the_pool_and_warns_where_nothing_bounds(site: Path) -> None:
    settings = site / "shop" / "settings.py"
    engine = '"ENGINE": "django.db.backends.postgresql"'
    settings.write_text(f'{SETTINGS}DATABASES = {{"default": {{{engine}}}}}\n')
    assert "no bound" in plan(site, "--target", "native")["connections"][0]

    pool = '"OPTIONS": {"pool": {"max_size": 5}}'
    settings.write_text(f'{SETTINGS}DATABASES = {{"default": {{{engine}, {pool}}}}}\n')
    told = plan(site, "--target", "native")
    assert "1 processes x 5 of the pool = 5" in told["connections"][0]


@pytest.mark.parametrize(
    ("command", "server"),
    [
        ("gunicorn app:app -w 2 -b :9000", "--host 0.0.0.0 --port 9000 --workers 2 --threads 4"),
        (
            "gunicorn 'app:make(\"x\")' -w 9 --threads 1 -b :9000",
            "--host 0.0.0.0 --port 9000 --workers 4 --threads 4",
        ),
        ("gunicorn app:app -k gevent -w 4 --worker-connections 100 -b :9000", "--workers 4"),
        ("uwsgi --http :9000 -w app:app -p 9", "--workers 4 --threads 4"),
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

    told = plan(tmp_path)

    app = "MODULE:APP" if not command else "'app:make(\"x\")'" if "make" in command else "app:app"
    assert told["server"].startswith(f"bridge run {app} --server uvicorn")
    assert told["server"].endswith(server)
    assert told["threads_where"] == ""


def test_plan_leaves_an_asgi_app_to_its_server(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("@app.get('/')\nasync def live(): ...\n")
    (tmp_path / "Procfile").write_text("web: gunicorn app:app -k uvicorn.workers.UvicornWorker\n")

    assert plan(tmp_path)["server"] == "uvicorn app:app"


def test_what_the_plan_starts_serves_the_app(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "Procfile").write_text("web: gunicorn 'app:make(\"x\")' -w 1 -b 127.0.0.1:$PORT\n")
    (tmp_path / "Procfile").write_text(f"web: {plan(tmp_path)['server']}\n")

    with started(tmp_path) as server:
        assert Http1Client(server.port).fetch("GET", "/").body == b"hello x"


@pytest.mark.parametrize(
    ("config", "processes", "threads", "words"),
    [
        ("workers = 2 * os.cpu_count() + 1\nthreads = 8\n", None, 8, "a computed number of proc"),
        ("workers = 2\nthreads = int(os.environ['N'])\n", 2, None, "a computed number of threads"),
        ("worker_class = 'gevent'\nworkers = 4\n", 4, 40, "4 processes x 1000 green threads"),
    ],
)
def test_plan_invents_no_numbers(
    site: Path, config: str, processes: int | None, threads: int | None, words: str
) -> None:
    (site / "Procfile").write_text("web: gunicorn shop.wsgi\n")
    (site / "gunicorn.conf.py").write_text(f"import os\n\n{config}")
    engine = '{"default": {"ENGINE": "django.db.backends.postgresql"}}'
    (site / "shop" / "settings.py").write_text(f"{SETTINGS}DATABASES = {engine}\n")

    told = plan(site, "--target", "bridge")

    assert (told["processes"], told["threads"]) == (processes, threads)
    assert words in told["threads_why"]
    assert "None" not in migrate("plan", site, "--no-introspect", "--target", "bridge").stdout


def test_the_threads_of_django_are_for_the_application_of_bridge(site: Path) -> None:
    assert plan(site, "--target", "bridge")["threads_where"] == (
        "in asgi.py, from bridge.contrib.django: get_asgi_application(threads=4)"
    )
    assert plan(site, "--target", "native")["threads_where"] == ""


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_plan_reads_well(site: Path, format: str) -> None:
    result = migrate("plan", site, "--no-introspect", "--format", format)

    assert f"Plan for {site.name}" in result.stdout
    assert "stay on WSGI" in result.stdout
    assert "Way back" in result.stdout


def test_explain_prints_before_and_after() -> None:
    result = migrate("explain", "m203")

    assert result.exit_code == 0
    assert result.stdout.startswith("M203 middleware-init-without-super\n")
    assert result.stdout.index("\nBefore:\n") < result.stdout.index("\nAfter:\n")


def test_explain_lists_the_rules_and_knows_no_others() -> None:
    assert "M202  E/-  unsafe  a MiddlewareMixin" in migrate("explain").stdout
    result = migrate("explain", "M999")
    assert result.exit_code == 2
    assert "there is no rule 'M999'; there are M201, M202" in result.stderr


# -- bad input -------------------------------------------------------------------------------------


def test_what_is_no_project_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()

    for path, words in [
        (tmp_path, "is not a project: there is no Python file in it"),
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "notes.txt", "is a file: name the folder of the project"),
    ]:
        result = migrate("check", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_parsed_exits_with_2_after_the_findings(site: Path) -> None:
    (site / "shop" / "newer.py").write_text("class Middleware:\n    maybe x = 1\n")

    result = check(site, "--select", "M203")

    assert result.exit_code == 2
    assert "shop/newer.py:2: has a syntax error, or syntax newer than" in result.stderr
    assert "M203 error" in result.stdout


def test_settings_that_are_not_there_are_told(site: Path) -> None:
    result = check(site, "--settings", "shop.nowhere")

    assert result.exit_code == 2
    assert "there is no settings module 'shop.nowhere'" in result.stderr


def test_without_libcst_it_says_how_to_install_it() -> None:
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
