"""`--config`, `--print-config` and `--env-file`: options and variables from files."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bridge.cli import commands
from bridge.cli.config_file import key_of
from tests.cli.running import Finished, bridge, client_of, running

FILE_ONLY = {"config", "print-config", "help"}

pytestmark = pytest.mark.usefixtures("own_signals")


def options() -> dict[str, Any]:
    """The parameters of `bridge run` that a file may set, by their key."""
    command = commands.app.commands["run"]
    return {key_of(each): each for each in command.params if key_of(each) not in FILE_ONLY}


def run(*args: str) -> Finished:
    """`bridge run --print-config` with these arguments, in this process."""
    done = CliRunner().invoke(commands.app, ["run", *args, "--print-config"])
    return Finished(done.exit_code, done.stdout, done.stderr)


def effective(*args: str) -> dict[str, Any]:
    """The values that `--print-config` shows, without comments."""
    done = run(*args)
    assert done.code == 0, done.err
    values: dict[str, Any] = tomllib.loads(done.out)["run"]
    return values


def _mistake(path: Path, text: str, *args: str) -> str:
    path.write_text(text)
    done = run("--config", str(path), *args)
    assert (done.code, done.out) == (2, ""), done
    return done.err.strip().rpartition("Error: ")[2]


EXAMPLES: dict[str, Any] = {
    "targets": ["/=main:app", "/api=api:app"],
    "websocket": ["/ws=chat:app"],
    "interface": ["/api=wsgi"],
    "app-dir": ".",
    "server": "gunicorn",
    "workers": 3,
    "threads": 7,
    "wait-target-s": 0.5,
    "buffer-request-bytes": 9,
    "body-timeout-s": 5,
    "spool-bytes": 9,
    "limit": ["/reports=2:9"],
    "reserve": ["/healthz"],
    "loop-lag-target-s": 0.5,
    "queue-timeout-s": 5,
    "request-timeout-s": 5,
    "reload": True,
    "grace-s": 4,
    "drain-s": 2.5,
    "max-requests": 1000,
    "max-requests-jitter": 100,
    "healthz": "/healthz",
    "log-level": "warning",
    "host": "::1",
    "port": 81,
    "uds": "site.sock",
    "fd": 3,
    "root-path": "/shop",
    "trusted": ["10.0.0.5", "2001:db8::/32"],
    "proxy-headers": ["forwarded"],
    "access-log": "json",
    "request-id": True,
    "request-start": True,
    "server-timing": True,
    "metrics": "127.0.0.1:9999",
    "control": "./control",
    "env-file": ".env",
}


def test_every_option_has_an_example() -> None:
    assert set(EXAMPLES) == set(options()), "put an example of a new option into EXAMPLES"


def test_every_option_can_be_in_the_file(tmp_path: Path) -> None:
    """Paths are relative to the file, and --print-config writes a file with the same effect."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in EXAMPLES.items()]
    (tmp_path / "bridge.toml").write_text("\n".join(["[run]", *lines]))
    values = effective("--config", str(tmp_path / "bridge.toml"))
    paths = {
        key: str(tmp_path / EXAMPLES[key]) for key in ("app-dir", "uds", "control", "env-file")
    }
    assert values == EXAMPLES | paths
    (tmp_path / "printed.toml").write_text(run("--config", str(tmp_path / "bridge.toml")).out)
    assert effective("--config", str(tmp_path / "printed.toml")) == values


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text('[run]\ntargets = ["of_file:app"]\nworkers = 2\nport = 81\ntrusted = ["::1"]\n')
    done = run("main:app", "--port", "82", "--config", str(file))
    lines = done.out.splitlines()
    assert lines[0] == "[run]"
    for line in (
        'targets = ["main:app"]  # from the command line',
        "port = 82  # from the command line",
        "workers = 2  # from --config",
        'trusted = ["::1"]  # from --config',
        "grace-s = 10  # default",
        "# threads = 40  # not set",
        "# server  # not set",
        "# control  # not set",
    ):
        assert line in lines
    assert 'targets = ["of_file:app"]  # from --config' in run("--config", str(file)).out


def test_an_option_may_be_set_to_nothing(tmp_path: Path) -> None:
    """``--control`` without a path is not the same as none."""
    assert effective("main:app", "--control")["control"] == ""
    (tmp_path / "bridge.toml").write_text('[run]\ncontrol = ""\n')
    assert effective("main:app", "--config", str(tmp_path / "bridge.toml"))["control"] == ""


def test_pyproject_has_its_own_table(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n[tool.bridge.run]\ntargets = ["main:app"]\nport = 81\n')
    assert effective("--config", str(file))["port"] == 81
    assert _mistake(file, "[run]\nport = 81\n").endswith("it has no table [tool.bridge.run]")


def test_text_survives_in_both_directions(tmp_path: Path) -> None:
    target = "main:create_app('ü \U0001f600 \"\\\\ \x7f')"
    assert effective(target)["targets"] == [target]


def test_numbers_survive_in_both_directions() -> None:
    assert effective("main:app", "--request-timeout-s", "inf")["request-timeout-s"] == math.inf
    assert effective("main:app", "--drain-s", "1e-5")["drain-s"] == 1e-5


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    file = tmp_path / "bridge.toml"
    file.write_text("\ufeff[run]\nport = 81\n", "utf-8")
    assert effective("--config", str(file), "main:app")["port"] == 81


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[run]\nworker = 2", "unknown key 'worker'. Did you mean 'workers'?"),
        (
            "[run]\nbody_timeout_s = 2",
            "unknown key 'body_timeout_s'. Did you mean 'body-timeout-s'?",
        ),
        ("[run]\nconfig = 'x'", "unknown key 'config'. Allowed: targets, websocket, "),
        ("[run]\nworkers = '2'", 'workers: expected an integer, not "2"'),
        ("[run]\nworkers = true", "workers: expected an integer, not true"),
        ("[run]\nworkers = 2.0", "workers: expected an integer, not 2.0"),
        ("[run]\nworkers = 0", "workers: "),
        ("[run]\ndrain-s = '1'", 'drain-s: expected a number, not "1"'),
        ("[run]\ndrain-s = nan", "drain-s: expected a number of 0 or more, not nan"),
        ("[run]\nreload = 1", "reload: expected true or false, not 1"),
        ("[run]\nhost = 1", "host: expected a string, not 1"),
        ("[run]\ntrusted = '10.0.0.5'", 'trusted: expected an array of strings, not "10.0.0.5"'),
        ("[run]\ntargets = [1]", "targets: expected an array of strings, not [1]"),
        ("[run]\nserver = 'apache'", "server: 'apache' is not one of 'uvicorn'"),
        ("[run]\napp-dir = 'missing'", "app-dir: Directory '"),
        ("port = 81", "unknown key 'port': the options belong into the table [run]"),
        ("", "it has no table [run]"),
        ("run = 1", "it has no table [run]"),
        ("[run", "it is not TOML: "),
    ],
)
def test_mistakes_name_the_file_the_key_and_what_is_allowed(
    text: str, mistake: str, tmp_path: Path
) -> None:
    file = tmp_path / "bridge.toml"
    message = _mistake(file, text)
    assert message.startswith(f"--config {file}: {mistake}"), message


def test_a_server_starts_from_a_file_and_gets_its_variables(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / ".env").write_text("SITE_VARIABLE='from the file'\nHOME=/nowhere\n")
    (tmp_path / "conf" / "bridge.toml").write_text(
        '[run]\nenv-file = ".env"\ntrusted = ["127.0.0.1"]\nlog-level = "warning"\n'
    )
    config = str(tmp_path / "conf" / "bridge.toml")
    with running("uvicorn", "proxied_site:wsgi", "--config", config) as site:
        headers = [("x-forwarded-for", "192.0.2.7")]
        reported = client_of(site).fetch("GET", "/", headers).json()
    assert (reported["client"], reported["variable"]) == ("192.0.2.7", "from the file")


def test_a_missing_file_is_one_line() -> None:
    done = bridge("run", "main:app", "--env-file", "missing.env")
    assert done.code == 2
    assert done.err == "bridge: --env-file missing.env: No such file or directory\n"
    assert "does not exist" in bridge("run", "main:app", "--config", "missing.toml").err


def test_click_knows_every_parameter_type() -> None:
    """A new type of parameter needs a row in `config_file`, or a file could not set it."""
    from bridge.cli.command_help import CommaList, Integer, Number
    from bridge.cli.metrics import Address

    known = (CommaList, Integer, Number, Address, click.Path, click.Choice)
    plain = (click.types.StringParamType, click.types.BoolParamType)
    for key, parameter in options().items():
        assert isinstance(parameter.type, known + plain), key
