"""Errors of the command line and of the app: one line on stderr, and the exit code."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import MULTI, SERVERS, TARGETS, bridge
from tests.conftest import in_full
from tests.harness.servers import ROOT

FLASK = TARGETS["flask"]

BLOCKER = """
import os
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["BLOCKED"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment in which the modules named in BLOCKED cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


def _one_line(*args: str, code: int, env: dict[str, str] | None = None) -> str:
    done = bridge(*args, env=env)
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("bridge: ")
    return done.err.removeprefix("bridge: ").rstrip()


# -- missing packages ------------------------------------------------------------------------------

REQUIREMENT = {"uvicorn": "wsgi-asgi-bridge[uvicorn]", "gunicorn": "wsgi-asgi-bridge[gunicorn]"}


@pytest.mark.parametrize("server", SERVERS)
def test_a_missing_server_names_what_to_install(server: str, without: dict[str, str]) -> None:
    line = _one_line("run", FLASK, "--server", server, code=2, env={**without, "BLOCKED": server})
    assert line == f'{server} is not installed: pip install "{REQUIREMENT.get(server, server)}"'


def test_without_any_server_the_first_one_is_suggested(without: dict[str, str]) -> None:
    line = _one_line("run", FLASK, code=2, env={**without, "BLOCKED": ",".join(SERVERS)})
    assert line.startswith("no server is installed (uvicorn, granian, hypercorn, gunicorn, daphne")
    assert line.endswith('pip install "wsgi-asgi-bridge[uvicorn]"')


def test_without_uvicorn_the_next_server_is_chosen(without: dict[str, str]) -> None:
    blocked = {**without, "BLOCKED": "uvicorn,granian,hypercorn,gunicorn,daphne"}
    line = _one_line("run", FLASK, "--reload", code=2, env=blocked)
    assert line.startswith("--reload: waitress does not support it")


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("args", [["run", FLASK], ["--version"], []])
def test_without_the_extra_the_error_names_it(
    missing: str, args: list[str], without: dict[str, str]
) -> None:
    line = _one_line(*args, code=2, env={**without, "BLOCKED": missing})
    assert line == f'the command line needs {missing}: pip install "wsgi-asgi-bridge[cli]"'


def test_granian_names_what_reloading_needs(without: dict[str, str]) -> None:
    blocked = {**without, "BLOCKED": "watchfiles"}
    line = _one_line("run", FLASK, "--server", "granian", "--reload", code=2, env=blocked)
    assert line == '--reload: granian needs watchfiles: pip install "granian[reload]"'


# -- unsupported options ---------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["daphne", "waitress"])
@pytest.mark.parametrize("option", ["--reload", "--workers"])
def test_an_unsupported_option_names_the_servers_that_support_it(server: str, option: str) -> None:
    value = ["2"] if option == "--workers" else []
    line = _one_line("run", FLASK, "--server", server, option, *value, code=2)
    assert line.startswith(f"{option}: {server} does not support it, because it ")
    assert line.endswith("Servers that do: uvicorn, granian, hypercorn, gunicorn")


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn", "gunicorn"])
def test_reload_and_workers_cannot_be_combined(server: str, without: dict[str, str]) -> None:
    line = _one_line("run", FLASK, "--server", server, "--reload", "--workers", "2", code=2)
    assert "--reload" in line


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn", "daphne"])
def test_threads_are_rejected_for_an_asgi_app_on_an_asgi_server(server: str) -> None:
    line = _one_line("run", TARGETS["fastapi"], "--server", server, "--threads", "8", code=2)
    assert line.startswith(
        "--threads: fastapi_site:app is an ASGI app, which runs on the event loop of " + server
    )


@pytest.mark.parametrize(
    ("option", "does"),
    [
        ("--buffer-request-bytes", "reads request bodies"),
        ("--body-timeout-s", "reads request bodies"),
        ("--wait-target-s", "queues requests"),
        ("--spool-bytes", "sends responses"),
        ("--limit", "queues requests"),
        ("--reserve", "queues requests"),
        ("--loop-lag-target-s", "runs the threads"),
    ],
)
@pytest.mark.parametrize(
    ("server", "app", "message"),
    [
        ("uvicorn", "fastapi", "fastapi_site:app is an ASGI app, which runs on the event loop of "),
        ("gunicorn", "flask", "gunicorn is a WSGI server, which {does} itself. "),
        ("waitress", "fastapi", "waitress is a WSGI server, which {does} itself. "),
    ],
)
def test_options_for_wsgi_apps_are_rejected_where_they_have_no_effect(
    server: str, app: str, message: str, option: str, does: str
) -> None:
    value = {"--limit": "/reports=8", "--reserve": "/healthz"}.get(option, "1")
    line = _one_line("run", TARGETS[app], "--server", server, option, value, code=2)
    assert line.startswith(f"{option}: {message.format(does=does)}")


@pytest.mark.parametrize(
    "path",
    ["http://site.example/shop", "/shop?x", "/shop#x", "../shop", "/shop//tea", "/caf%C3%A9"],
)
def test_a_root_path_that_is_not_a_path_is_rejected(path: str) -> None:
    assert "--root-path takes a path such as /shop" in _one_line(
        "run", FLASK, "--root-path", path, code=2
    )


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["uvicorn", *in_full("granian", "hypercorn", "gunicorn")])
def test_an_option_that_does_not_fit_the_app_is_one_line_before_any_worker_starts(
    server: str,
) -> None:
    """The adapter finds it. In the workers it would, too, again and again."""
    args = ("--server", server, "--workers", "2", "--port", "0")
    if server != "gunicorn":
        error = _one_line("run", FLASK, *args, "--limit", "/reports=50", code=2)
        assert "limits['/reports']=Limit(threads=50" in error
    app = TARGETS["fastapi"] if server == "gunicorn" else FLASK
    error = _one_line("run", app, *args, code=2, env={"BRIDGE_SUPERVISED": "yes"})
    assert error.endswith("BRIDGE_SUPERVISED='yes': expected one of '0', '1'")


@pytest.mark.parametrize("server", SERVERS)
def test_a_port_in_use_is_one_line_and_exit_code_1(server: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        line = _one_line("run", FLASK, "--server", server, "--port", str(port), code=1)
    assert line.startswith(f"cannot listen on 127.0.0.1:{port}: the port is in use.")


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (
            "203.0.113.7",
            "this machine has no such address. Use 0.0.0.0 to listen on all interfaces",
        ),
        ("no.such.host.invalid", "--host no.such.host.invalid: "),
    ],
)
def test_an_address_of_another_machine_is_one_line(host: str, message: str) -> None:
    assert message in _one_line("run", FLASK, "--host", host, code=1)


def test_a_unix_socket_in_use_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as taken:
        taken.bind(str(path))
        taken.listen(1)
        assert _one_line("run", FLASK, "--uds", str(path), code=1) == (
            f"--uds {path}: the socket is in use"
        )


def test_a_unix_socket_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    file, deeper = tmp_path / "file", tmp_path / "none" / "s"
    assert "the file exists and is not a socket" in _one_line(
        "run", FLASK, "--uds", str(file), code=1
    )
    assert file.read_text() == "precious"
    assert "does not exist" in _one_line("run", FLASK, "--uds", str(deeper), code=1)


# -- apps ------------------------------------------------------------------------------------------


def test_a_misspelt_target_suggests_similar_names() -> None:
    assert "Did you mean 'flask_site'" in _one_line("run", "flask_sit:app", code=2)
    assert "Did you mean 'flask_site:app'?" in _one_line("run", "flask_site:appp", code=2)
    assert "Did you mean 'flask_site.py'" in _one_line("run", "flask_sit.py", code=2)


def test_a_factory_without_parentheses_gets_no_useless_advice() -> None:
    line = _one_line("run", "flask_site:create_app", code=2)
    assert line.startswith("flask_site:create_app: cannot detect whether the function flask_site.")
    assert "--interface" not in line, "it would be called with the arguments of an app, and fail"


@pytest.mark.parametrize("command", ["run", "bench"])
@pytest.mark.parametrize("options", [[], ["--interface", "wsgi"]])
def test_an_object_that_cannot_be_called_gets_no_useless_advice(
    command: str, options: list[str]
) -> None:
    line = _one_line(command, "mixed_site:number", *options, code=2)
    assert line.startswith("mixed_site:number: ")
    assert "--interface" not in line


@pytest.mark.parametrize(("command", "name"), [("run", "Site"), ("bench", "chat")])
def test_an_interface_that_the_app_cannot_have_is_rejected(command: str, name: str) -> None:
    line = _one_line(command, f"mixed_site:{name}", "--interface", "wsgi", code=2)
    assert line.startswith(
        f"mixed_site:{name}: --interface wsgi: the app cannot be called with "
        "(environ, start_response): "
    )


def test_the_traceback_of_an_error_in_the_app_starts_in_the_app(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("def load():\n    return {}['key']\nload()\n")
    done = bridge("run", "broken.py", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path / "broken.py"}", line 1, in <module>'
    assert done.last_line == (
        "bridge: cannot load 'broken.py': importing broken failed with KeyError: 'key'"
    )
    assert "importlib" not in done.err


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
@pytest.mark.parametrize("server", MULTI)
def test_a_failed_lifespan_startup_exits_with_1(
    server: str, workers: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'lifespan'\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    done = bridge("run", "failing.py", "--server", server, "--port", "0", *workers, cwd=tmp_path)
    assert done.code == 1
    assert "no database" in done.err + done.out


RAISES_AT_STARTUP = """
import contextlib
import bridge
from starlette.applications import Starlette

@contextlib.asynccontextmanager
async def lifespan(app):
    raise OSError("no database")
    yield

app = Starlette(lifespan=lifespan)
router = bridge.Router({"/api": app})
"""


# Starlette alone chains its exception to hypercorn's, which prints both.
@pytest.mark.parametrize(
    ("server", "attribute"),
    [
        ("uvicorn", "app"),
        ("uvicorn", "router"),
        ("hypercorn", "router"),
        ("granian", "app"),
        ("granian", "router"),
    ],
)
def test_a_startup_that_raises_is_logged_once(server: str, attribute: str, tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text(RAISES_AT_STARTUP)
    target = f"raising:{attribute}"
    done = bridge("run", target, "--server", server, "--port", "0", cwd=tmp_path)
    assert done.code == 1
    assert (done.err + done.out).count('raise OSError("no database")') == 1


def test_an_unexpected_error_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import socket\nsocket.getaddrinfo = None\n")
    done = bridge("run", FLASK, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 1
    assert done.last_line == "TypeError: 'NoneType' object is not callable"


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["bridge", "bridge.cli"])
def test_help_and_version(module: str) -> None:
    version = bridge("--version", module=module)
    assert version.code == 0
    assert version.out.startswith("bridge 0.")
    help_text = bridge("--help", module=module)
    assert help_text.code == 0
    assert "run" in help_text.out


def test_the_help_of_run_shows_every_option_and_examples() -> None:
    done = bridge("run", "--help", env={"COLUMNS": "100"})
    options = (
        "server host port workers threads wait-target-s limit reserve loop-lag-target-s "
        "buffer-request-bytes body-timeout-s spool-bytes reload root-path uds log-level interface "
        "grace-s"
    )
    for option in options.split():
        assert f"--{option} " in done.out
    assert "bridge run main:app" in done.out
    assert "pip" not in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "no app given. Pass a target, for example main:app"),
        (["routes"], "no app given. Pass a target, for example main:app"),
        (["run", FLASK, "--server", "apache"], "apache"),
        (
            ["run", FLASK, "--port", "70000"],
            "'--port': expected an integer from 0 to 65535, not '70000'",
        ),
        (
            ["run", FLASK, "--workers", "0"],
            "'--workers': expected an integer of 1 or more, not '0'",
        ),
        (["run", FLASK, "--grace-s", "0"], "'--grace-s': expected an integer of 1 or more"),
        (
            ["run", FLASK, "--buffer-request-bytes", "-1"],
            "'--buffer-request-bytes': expected an integer of 0 or more, not '-1'",
        ),
        (
            ["run", FLASK, "--buffer-request-bytes", "64k"],
            "'--buffer-request-bytes': expected an integer of 0 or more, not '64k'",
        ),
        *(
            (
                ["run", FLASK, "--body-timeout-s", value],
                f"'--body-timeout-s': expected a number of 0 or more, not '{value}'",
            )
            for value in ("-1", "1m", "nan")
        ),
        (
            ["run", FLASK, "--wait-target-s", "-0.1"],
            "'--wait-target-s': expected a number of 0 or more, not '-0.1'",
        ),
        (
            ["run", FLASK, "--loop-lag-target-s", "-1"],
            "'--loop-lag-target-s': expected a number of 0 or more, not '-1'",
        ),
        *(
            (["run", FLASK, "--limit", value], f"--limit='{value}': expected PATH=THREADS or PATH=")
            for value in ("/reports", "reports=8", "/reports=0", "/reports=8:", "/reports=8:0")
        ),
        (
            ["run", FLASK, "--reserve", "healthz"],
            "--reserve='healthz': expected a path that begins",
        ),
        (["run", FLASK, "--limit", "/a?x=8"], "a prefix has no query and no fragment"),
        (
            ["run", FLASK, "--limit", "/a=1", "--reserve", "/a/"],
            "--reserve='/a/': expected each path once: /a has a limit already",
        ),
        (
            ["run", FLASK, "--threads", "4", "--limit", "/a=4"],
            "fewer threads than the 4 of the app",
        ),
        (
            ["bench", FLASK, "--seconds", "0"],
            "'--seconds': expected an integer of 1 or more, not '0'",
        ),
        (["run", FLASK, "--no-such-option"], "--no-such-option"),
        (["walk"], "walk"),
    ],
)
def test_a_command_line_that_cannot_be_parsed_exits_with_2(args: list[str], message: str) -> None:
    done = bridge(*args)
    assert done.code == 2
    assert message in done.err
