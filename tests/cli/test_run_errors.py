"""What cannot be done is said in one line that names it, and nothing is left running."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import MULTI, SERVERS, TARGETS, bridge
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
    """An environment in which the modules in BLOCKED are as good as not installed."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}"}


def _one_line(*args: str, code: int, env: dict[str, str] | None = None) -> str:
    done = bridge(*args, env=env)
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("bridge: ")
    return done.err.removeprefix("bridge: ").rstrip()


# -- what is not installed -------------------------------------------------------------------------

REQUIREMENT = {"uvicorn": "wsgi-asgi-bridge[uvicorn]", "gunicorn": "wsgi-asgi-bridge[gunicorn]"}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_not_installed_names_what_to_install(
    server: str, without: dict[str, str]
) -> None:
    line = _one_line("run", FLASK, "--server", server, code=2, env={**without, "BLOCKED": server})
    assert line == f'{server} is not installed: pip install "{REQUIREMENT.get(server, server)}"'


def test_no_server_at_all_names_the_first_to_install(without: dict[str, str]) -> None:
    line = _one_line("run", FLASK, code=2, env={**without, "BLOCKED": ",".join(SERVERS)})
    assert line.startswith("no server is installed (uvicorn, granian, hypercorn, gunicorn, daphne")
    assert line.endswith('pip install "wsgi-asgi-bridge[uvicorn]"')


def test_without_uvicorn_the_next_best_server_is_chosen(without: dict[str, str]) -> None:
    blocked = {**without, "BLOCKED": "uvicorn,granian,hypercorn,gunicorn,daphne"}
    line = _one_line("run", FLASK, "--reload", code=2, env=blocked)
    assert line.startswith("--reload: waitress has no such thing")


@pytest.mark.parametrize("missing", ["typer", "rich"])
@pytest.mark.parametrize("args", [["run", FLASK], ["--version"], []])
def test_without_the_extra_the_command_names_it(
    missing: str, args: list[str], without: dict[str, str]
) -> None:
    line = _one_line(*args, code=2, env={**without, "BLOCKED": missing})
    assert line == f'the command line needs {missing}: pip install "wsgi-asgi-bridge[cli]"'


def test_granian_names_what_reloading_needs(without: dict[str, str]) -> None:
    blocked = {**without, "BLOCKED": "watchfiles"}
    line = _one_line("run", FLASK, "--server", "granian", "--reload", code=2, env=blocked)
    assert line == '--reload: granian needs watchfiles for it: pip install "granian[reload]"'


# -- what a server cannot do -----------------------------------------------------------------------


@pytest.mark.parametrize("server", ["daphne", "waitress"])
@pytest.mark.parametrize("option", ["--reload", "--workers"])
def test_an_option_that_a_server_lacks_names_those_that_have_it(server: str, option: str) -> None:
    value = ["2"] if option == "--workers" else []
    line = _one_line("run", FLASK, "--server", server, option, *value, code=2)
    assert line.startswith(f"{option}: {server} has no such thing, ")
    assert line.endswith("These have: uvicorn, granian, hypercorn, gunicorn")


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn", "gunicorn"])
def test_reload_and_workers_do_not_go_together(server: str, without: dict[str, str]) -> None:
    line = _one_line("run", FLASK, "--server", server, "--reload", "--workers", "2", code=2)
    assert "--reload" in line


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn", "daphne"])
def test_threads_of_an_asgi_app_on_an_asgi_server_are_refused(server: str) -> None:
    line = _one_line("run", TARGETS["fastapi"], "--server", server, "--threads", "8", code=2)
    assert line.startswith(f"--threads: fastapi_site:app is an ASGI app, and runs on {server}'s")


@pytest.mark.parametrize(
    "path",
    ["http://site.example/shop", "/shop?x", "/shop#x", "../shop", "/shop//tea", "/caf%C3%A9"],
)
def test_a_root_path_that_is_no_path_is_refused(path: str) -> None:
    assert "--root-path takes a path such as /shop" in _one_line(
        "run", FLASK, "--root-path", path, code=2
    )


# -- where it cannot listen ------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_a_port_in_use_is_one_line_and_exit_code_1(server: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        line = _one_line("run", FLASK, "--server", server, "--port", str(port), code=1)
    assert line.startswith(f"cannot listen on 127.0.0.1:{port}: the port is in use.")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("203.0.113.7", "this machine has no such address. 0.0.0.0 means all that it has"),
        ("no.such.host.invalid", "--host no.such.host.invalid: "),
    ],
)
def test_an_address_that_is_not_ours_is_one_line(host: str, said: str) -> None:
    assert said in _one_line("run", FLASK, "--host", host, code=1)


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
    assert "a file of that name that is not a socket" in _one_line(
        "run", FLASK, "--uds", str(file), code=1
    )
    assert file.read_text() == "precious"
    assert "there is no folder" in _one_line("run", FLASK, "--uds", str(deeper), code=1)


# -- what is no app --------------------------------------------------------------------------------


def test_a_bad_target_names_what_comes_near() -> None:
    assert "Did you mean 'flask_site'" in _one_line("run", "flask_sit:app", code=2)
    assert "Did you mean 'flask_site:app'?" in _one_line("run", "flask_site:appp", code=2)
    assert "Did you mean 'flask_site.py'" in _one_line("run", "flask_sit.py", code=2)


def test_a_factory_without_its_parentheses_is_told_so() -> None:
    line = _one_line("run", "flask_site:create_app", code=2)
    assert line.startswith("flask_site:create_app: cannot tell whether the function flask_site.")
    assert line.endswith("On the command line, choose with --interface wsgi or asgi.")


@pytest.mark.parametrize("command", ["run", "bench"])
@pytest.mark.parametrize("said", [[], ["--interface", "wsgi"]])
def test_what_cannot_be_called_gets_no_advice_that_leads_nowhere(
    command: str, said: list[str]
) -> None:
    line = _one_line(command, "mixed_site:number", *said, code=2)
    assert line.startswith("mixed_site:number: ")
    assert "--interface" not in line


@pytest.mark.parametrize(("command", "name"), [("run", "Site"), ("bench", "chat")])
def test_an_interface_that_the_app_cannot_have_is_refused(command: str, name: str) -> None:
    line = _one_line(command, f"mixed_site:{name}", "--interface", "wsgi", code=2)
    assert line.startswith(
        f"mixed_site:{name}: --interface wsgi: it cannot be called with (environ, start_response): "
    )


def test_an_error_in_the_app_is_shown_from_where_the_app_begins(tmp_path: Path) -> None:
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
def test_a_lifespan_that_fails_ends_with_1(
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


def test_a_bug_of_ours_keeps_its_traceback(without: dict[str, str]) -> None:
    done = bridge("run", FLASK, env={**without, "BLOCKED": "runpy"})
    assert done.code == 1
    assert "Traceback" in done.err


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
    options = "server host port workers threads reload root-path uds log-level interface grace-s"
    for option in options.split():
        assert f"--{option} " in done.out
    assert "bridge run main:app" in done.out
    assert "pip" not in done.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run"], "which app? For example: main:app"),
        (["routes"], "which app? For example: main:app"),
        (["run", FLASK, "--server", "apache"], "apache"),
        (["run", FLASK, "--port", "70000"], "--port"),
        (["run", FLASK, "--workers", "0"], "--workers"),
        (["run", FLASK, "--grace-s", "0"], "--grace-s"),
        (["run", FLASK, "--no-such-option"], "--no-such-option"),
        (["walk"], "walk"),
    ],
)
def test_a_command_line_that_does_not_parse_ends_with_2(args: list[str], said: str) -> None:
    done = bridge(*args)
    assert done.code == 2
    assert said in done.err
