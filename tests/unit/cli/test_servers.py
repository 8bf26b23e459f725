"""The supported servers: how one is chosen, what it supports, and its command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]  # no stubs

from bridge.cli.options import LogLevel, RunOptions, UsageError
from bridge.cli.servers import gunicorn
from bridge.cli.servers.registry import SERVERS, check_options, choose_server


def test_uvicorn_is_the_first_choice() -> None:
    assert choose_server(None).name == "uvicorn"
    assert list(SERVERS) == ["uvicorn", "granian", "hypercorn", "gunicorn", "daphne", "waitress"]


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_is_registered_under_its_name(name: str) -> None:
    assert SERVERS[name].name == name


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_can_listen_on_ipv6_and_on_a_unix_socket(name: str) -> None:
    arguments = SERVERS[name].command_line(RunOptions(host="::1", port=81))
    assert any("::1" in argument for argument in arguments)
    assert any("81" in argument for argument in arguments)
    on_socket = SERVERS[name].command_line(RunOptions(uds=Path("/run/s")))
    assert any(argument in ("/run/s", "unix:/run/s") for argument in on_socket)
    assert "127.0.0.1" not in on_socket


@pytest.mark.parametrize("name", SERVERS)
def test_the_grace_period_is_on_the_command_line(name: str) -> None:
    def arguments(grace_s: int) -> list[str]:
        return SERVERS[name].command_line(RunOptions(grace_s=grace_s))

    assert arguments(7) != arguments(8)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("level", LogLevel)
def test_arguments_are_plain_strings(name: str, level: LogLevel) -> None:
    options = RunOptions(log_level=level, reload=True, watched=(Path("/srv"),))
    assert {type(argument) for argument in SERVERS[name].command_line(options)} == {str}


def test_only_a_single_process_without_reload_serves_in_process() -> None:
    one, two = RunOptions(), RunOptions(workers=2)
    reloading = RunOptions(reload=True)
    in_process = {name for name, spec in SERVERS.items() if spec.serves_in_process(one)}
    assert in_process == {"uvicorn", "hypercorn", "waitress"}
    assert not SERVERS["uvicorn"].serves_in_process(two)
    assert not SERVERS["hypercorn"].serves_in_process(reloading)


def test_options_that_every_server_supports_are_accepted() -> None:
    for spec in SERVERS.values():
        check_options(spec, RunOptions(uds=Path("s"), grace_s=3, root_path="/x", threads=3))


def test_reload_and_workers_are_mutually_exclusive() -> None:
    with pytest.raises(UsageError, match="--reload and --workers cannot be combined"):
        check_options(SERVERS["uvicorn"], RunOptions(reload=True, workers=2))


def test_the_gunicorn_module_sets_only_these_when_read_as_a_configuration() -> None:
    settings = {setting.name for setting in KNOWN_SETTINGS}

    assert settings & set(vars(gunicorn)) == {
        "forwarded_allow_ips",
        "forwarder_headers",
        "secure_scheme_headers",
        "when_ready",
        "post_fork",
        "post_worker_init",
        "worker_exit",
    }
