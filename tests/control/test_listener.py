"""The control socket: who can connect, and what a client that misbehaves can hold."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.control import client, folders, listener
from bridge.control.client import find, read
from bridge.control.folders import ControlError
from bridge.control.listener import Listener, remove_stale
from bridge.control.protocol import LONGEST_REQUEST

OTHER_USER = 12345


def fail() -> dict[str, Any]:
    raise RuntimeError("no answer")


@pytest.fixture
def folder(short_path: Path) -> Path:
    return folders.prepare(short_path / "control")


@pytest.fixture
def path(folder: Path) -> Iterator[Path]:
    at = folder / folders.name_of(1, os.getpid())
    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "numbers": lambda: {"numbers": [1, 2]},
        "much": lambda: {"much": "x" * 3_000_000},
        "fail": fail,
    }
    with closing(Listener(at, answers)):
        yield at


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


def ask(path: Path, line: bytes) -> bytes:
    with connect(path) as connection:
        connection.sendall(line)
        with connection.makefile("rb") as answer:
            return answer.read()


def answer_of(path: Path, get: str) -> Any:
    return json.loads(ask(path, json.dumps({"bridge": 1, "get": get}).encode() + b"\n"))


def test_an_answer_is_one_line_of_json_with_the_version(path: Path) -> None:
    assert ask(path, b'{"bridge":1,"get":"numbers"}\n') == b'{"bridge":1,"numbers":[1,2]}\n'


def test_the_socket_is_for_its_owner_alone(path: Path) -> None:
    mode = os.stat(path).st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"GET / HTTP/1.1\r\n", "expected a line of JSON"),
        (b"\xff\xfe\n", "expected a line of JSON"),
        (b"[" * 900 + b"\n", "expected a line of JSON"),
        (b"[1]\n", "expected an object with bridge: 1"),
        (b'{"bridge":2,"get":"numbers"}\n', "expected an object with bridge: 1"),
        (b'{"bridge":1}\n', "expected get: a string"),
        (b'{"bridge":1,"get":"secrets"}\n', "expected get: numbers or much or fail"),
    ],
)
def test_junk_gets_an_error_and_harms_nothing(path: Path, line: bytes, error: str) -> None:
    assert json.loads(ask(path, line)) == {"bridge": 1, "error": error}
    assert answer_of(path, "numbers")["numbers"] == [1, 2]


def test_a_request_without_an_end_is_cut(path: Path) -> None:
    assert ask(path, b"x" * LONGEST_REQUEST) == b""
    assert answer_of(path, "numbers")["numbers"] == [1, 2]


def test_an_error_while_an_answer_is_made_does_not_end_the_thread(path: Path) -> None:
    assert answer_of(path, "fail")["error"] == "RuntimeError in the process that answers"
    assert answer_of(path, "numbers")["numbers"] == [1, 2]


def test_clients_that_send_nothing_or_take_nothing_keep_no_other_waiting(path: Path) -> None:
    silent = [connect(path) for _ in range(5)]
    greedy = [connect(path) for _ in range(5)]
    for each in greedy:
        each.sendall(b'{"bridge":1,"get":"much"}\n')

    assert answer_of(path, "numbers")["numbers"] == [1, 2]

    for each in (*silent, *greedy):
        each.close()
    assert len(answer_of(path, "much")["much"]) == 3_000_000


def test_silent_clients_are_dropped_even_if_they_take_every_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "DEADLINE_S", 0.2)
    silent = [connect(path) for _ in range(2 * listener.MOST_CLIENTS)]

    assert answer_of(path, "numbers")["numbers"] == [1, 2]
    assert [each.recv(1) for each in silent] == [b""] * len(silent)

    for each in silent:
        each.close()


def test_closing_removes_the_socket_and_ends_the_thread(folder: Path) -> None:
    at = folder / "1-1.sock"
    threads = len(sys._current_frames())
    made = Listener(at, {})
    answer_of(at, "none")  # so it runs
    assert len(sys._current_frames()) == threads + 1

    made.close()

    assert not at.exists()
    assert len(sys._current_frames()) == threads


def test_nothing_listens_and_no_thread_runs_after_an_import() -> None:
    code = "import bridge.control, sys; print(len(sys._current_frames()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "1\n"


def test_a_socket_that_a_killed_process_has_left_is_removed(folder: Path, path: Path) -> None:
    left = folder / "1-99.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(left))
    (folder / "notes.txt").touch()

    remove_stale(folder)

    assert not left.exists()
    assert path.exists()
    assert (folder / "notes.txt").exists()


def test_a_process_cannot_take_the_socket_of_one_that_listens_in_its_folder(folder: Path) -> None:
    (folder / ".1").mkdir()
    with pytest.raises(ControlError, match="cannot listen at"):
        Listener(folder / ".1" / "missing" / "1-1.sock", {})


def test_a_forked_child_leaves_the_socket_to_its_parent(folder: Path) -> None:
    code = (
        "import os, sys, pathlib, bridge.control\n"
        "from bridge.control import serve\n"
        "at = bridge.control.listen(sys.argv[1])\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    own = bridge.control.listen(sys.argv[1])\n"
        "    print(serve._listener.pid == os.getpid(), own != at, flush=True)\n"
        "    sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "print(at.exists(), [each.name for each in at.parent.iterdir()] == [at.name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True True\nTrue True\n"
    assert list(folder.iterdir()) == []


# -- other users -----------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

CONNECT = """\
import os, socket, sys
os.setgroups([]); os.setgid({user}); os.setuid({user})
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(30)
try:
    connection.connect(sys.argv[1])
    connection.sendall(b'{{"bridge":1,"get":"numbers"}}\\n')
    print(connection.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


def as_other_user(path: Path) -> str:
    code = CONNECT.format(user=OTHER_USER)
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def open_for_all(path: Path) -> None:
    for each in path.parents:
        if str(each) not in ("/", "/tmp"):
            each.chmod(0o755)


@needs_root
def test_another_user_cannot_connect(path: Path) -> None:
    open_for_all(path.parent)  # but not the folder itself

    assert as_other_user(path) == "PermissionError"


@needs_root
def test_another_user_gets_no_answer_even_where_the_folder_is_open(path: Path) -> None:
    """The second check: who has connected, as the kernel says."""
    open_for_all(path)
    path.chmod(0o666)

    assert as_other_user(path) in ("b''", "BrokenPipeError", "ConnectionResetError")


# -- closing ---------------------------------------------------------------------------------------


def test_it_is_closed_while_a_client_wakes_its_thread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread may see that it has to end, and end, before it is woken for that."""
    closed, unlink = Listener(folder / "1-1.sock", {}), os.unlink

    with connect(closed.path) as client:

        def unlink_and_wake(path: Path) -> None:
            unlink(path)
            client.sendall(b"{")
            assert client.recv(1) == b""  # the thread has closed all that it closes

        monkeypatch.setattr(os, "unlink", unlink_and_wake)
        closed.close()

    assert not closed.path.exists()


# -- finding and reading ---------------------------------------------------------------------------


def test_the_only_server_is_found_without_an_address(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folders.prepare(short_path / "control")
    monkeypatch.setattr(client, "default_folders", lambda: [own])
    with closing(Listener(own / "7-8.sock", {})), closing(Listener(own / "7-9.sock", {})):
        names = [path.name for path in find()]
        chosen = [path.name for path in find("9")]

    assert names == ["7-8.sock", "7-9.sock"]
    assert chosen == ["7-9.sock"]


@needs_root
def test_a_folder_that_somebody_else_has_made_in_tmp_is_not_read(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "default_folders", lambda: [folder])
    assert find() == [path]

    os.chown(folder, OTHER_USER, -1)

    with pytest.raises(ControlError, match="no server listens in"):
        find()
    assert find(str(folder)) == [path]  # root has named it


def test_a_full_backlog_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Unix socket refuses at once then, whatever the timeout is."""
    at, refused = folder / "1-5.sock", threading.Event()

    def sleep(seconds: float) -> None:
        refused.set()
        time.sleep(seconds)

    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(at))
        server.listen(0)
        first.connect(str(at))

        def accept_all() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    if connection.recv(100):
                        connection.sendall(b'{"bridge":1}\n')

        with ThreadPoolExecutor(2) as executor:
            reading = executor.submit(read, [at], "numbers", 30)
            assert refused.wait(30)
            first.shutdown(socket.SHUT_WR)
            executor.submit(accept_all).result(30)
            (report,) = reading.result(30)

    assert report.answer == {"bridge": 1}


def test_one_of_several_servers_is_chosen_by_its_pid(folder: Path) -> None:
    with closing(Listener(folder / "7-8.sock", {})), closing(Listener(folder / "70-9.sock", {})):
        with pytest.raises(ControlError, match=r"several servers listen.*ADDRESS: 7, 70"):
            find(str(folder))
        assert find(str(folder / "70-9.sock")) == [folder / "70-9.sock"]


def test_an_address_that_is_nothing_names_the_reason(short_path: Path) -> None:
    (short_path / "file").touch()
    with pytest.raises(ControlError, match="No such file"):
        find(str(short_path / "missing"))
    with pytest.raises(ControlError, match="neither a socket nor a folder"):
        find(str(short_path / "file"))
    with pytest.raises(ControlError, match=r"process 4000000000 in .*give that PATH"):
        find("4000000000")


def test_a_process_that_does_not_answer_delays_no_other(folder: Path, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(folder / "1-5.sock"))
        stopped.listen()
        reports = read([folder / "1-5.sock", path], "numbers", 0.5)

    assert [report.answer for report in reports] == [None, {"bridge": 1, "numbers": [1, 2]}]
    assert "no answer" in reports[0].problem


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[1]\n", b'{"bridge":9}\n', b'{"bridge":1,"error":"no"}\n', b"{"]
)
def test_an_answer_that_is_none_is_a_problem(folder: Path, line: bytes) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(line)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "1-5.sock"))
        server.listen()
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        (report,) = read([folder / "1-5.sock"], "numbers", 30)
        thread.join()

    assert report.answer is None
    assert report.problem


def test_the_thread_sleeps_while_nobody_asks(folder: Path) -> None:
    ticks = []

    def tick() -> None:
        ticks.append(time.monotonic())

    with closing(Listener(folder / "1-1.sock", {"none": dict}, tick)):
        answer_of(folder / "1-1.sock", "none")
        before = len(ticks)
        answer_of(folder / "1-1.sock", "none")

    assert len(ticks) - before <= 8  # a few for each event, and none for time that passes
