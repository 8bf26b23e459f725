"""The table of servers: chosen, checked, and their command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.options import LogLevel, RunOptions, UsageError, normal_root_path
from bridge.cli.servers.registry import SERVERS, check, choose


def test_uvicorn_is_the_first_choice() -> None:
    assert choose(None).name == "uvicorn"
    assert list(SERVERS) == ["uvicorn", "granian", "hypercorn", "gunicorn", "daphne", "waitress"]


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_can_listen_on_ipv6_and_on_a_unix_socket(name: str) -> None:
    arguments = SERVERS[name].arguments(RunOptions(host="::1", port=81))
    assert any("::1" in argument for argument in arguments)
    assert any("81" in argument for argument in arguments)
    on_socket = SERVERS[name].arguments(RunOptions(uds=Path("/run/s")))
    assert any(argument in ("/run/s", "unix:/run/s") for argument in on_socket)
    assert "127.0.0.1" not in on_socket


@pytest.mark.parametrize("name", sorted(set(SERVERS) - {"daphne"}))
def test_the_grace_is_on_the_command_line(name: str) -> None:
    def arguments(grace_s: int) -> list[str]:
        return SERVERS[name].arguments(RunOptions(grace_s=grace_s))

    assert arguments(7) != arguments(8)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("level", LogLevel)
def test_arguments_are_plain_strings(name: str, level: LogLevel) -> None:
    options = RunOptions(log_level=level, reload=True, watched=(Path("/srv"),))
    assert {type(argument) for argument in SERVERS[name].arguments(options)} == {str}


def test_what_serves_here_is_one_process_without_reload() -> None:
    one, two = RunOptions(), RunOptions(workers=2)
    reloading = RunOptions(reload=True)
    here = {name for name, spec in SERVERS.items() if spec.serves_here(one)}
    assert here == {"uvicorn", "hypercorn", "waitress"}
    assert not SERVERS["uvicorn"].serves_here(two)
    assert not SERVERS["hypercorn"].serves_here(reloading)


def test_what_every_server_can_do_is_not_refused() -> None:
    for spec in SERVERS.values():
        check(spec, RunOptions(uds=Path("s"), grace_s=3, root_path="/x", threads=3))


def test_two_options_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="--reload and --workers do not go together"):
        check(SERVERS["uvicorn"], RunOptions(reload=True, workers=2))


@pytest.mark.parametrize(
    ("given", "normal"),
    [("", ""), ("/", ""), ("shop", "/shop"), ("/shop/", "/shop"), ("/a/b", "/a/b")],
)
def test_root_paths_are_normalised(given: str, normal: str) -> None:
    assert normal_root_path(given) == normal
