"""The control socket of a process, and the thread that answers on it.

Input: connections to a Unix socket. Output: what the functions in ``answers`` return, as one line
of JSON each. Runs on a thread of its own, which only reads what the app's threads have written.

Rule 1. The thread is a real one, and its socket is the system's, also where gevent has replaced
        both: so it answers while a greenlet blocks all the others. It takes no lock that may be a
        greenlet's, and logs nothing.
Rule 2. No client holds anything. The thread waits for all of them at once; each has ``DEADLINE_S``
        for its request and its answer together, and there are at most ``MOST_CLIENTS``.
Rule 3. While nobody asks, the thread sleeps without a timeout.
Rule 4. A forked child closes its copy of the socket, and leaves the file to the parent.
Rule 5. The file is removed when the process ends. One that a killed process has left is removed by
        the next process that listens in its folder, and by readers.
"""

from __future__ import annotations

import _socket
import _thread
import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge._threads.greenlets import original
from bridge.control.folders import ControlError, parts_of
from bridge.control.peer import is_allowed
from bridge.control.protocol import (
    LONGEST_REQUEST,
    Answer,
    BadControlRequest,
    encode,
    error_answer,
    parse_request,
)

__all__ = ["Listener", "remove_stale"]

MOST_CLIENTS = 16
DEADLINE_S = 5.0
BACKLOG = 128
READ_SIZE = 4096
RETRY_S = 0.05

_sleep: Callable[[float], None] = original(time, "sleep")
_start_thread: Callable[[Callable[[], None], tuple[()]], int] = original(
    _thread, "start_new_thread"
)


class Listener:
    """Listens from its construction to :meth:`close`.

    :param path: of the socket, in a private folder.
    :param answers: by what is asked for.
    :param tick: called on the thread before each wait; returns the longest wait in seconds, None
        for any.
    :raises ControlError: the socket cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        answers: Mapping[str, Callable[[], Answer]],
        tick: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.path = path
        self.pid = os.getpid()
        self._answers = answers
        self._tick = tick
        self._clients: dict[int, _Client] = {}
        self._closed = False
        self._socket = _listen_at(path)
        self._waker, self._woken = _socket.socketpair()
        self._ended = original(_thread, "allocate_lock")()
        self._ended.acquire()
        _start_thread(self._run, ())

    def close(self) -> None:
        """Remove the socket, and wait until the thread has ended. From any other thread."""
        if self.pid != os.getpid() or self._closed:
            return
        self._closed = True
        with suppress(OSError):
            os.unlink(self.path)
        with suppress(OSError):  # the thread may have ended already, woken by a client
            self._waker.send(b"\0")
        self._ended.acquire(timeout=DEADLINE_S)
        self._waker.close()  # not on the thread, which may end while this one writes

    def leave(self) -> None:
        """In a forked child: the thread is not there, and the socket is the parent's."""
        self._closed = True
        self._close_sockets()
        self._waker.close()

    def _close_sockets(self) -> None:
        for each in (self._socket, self._woken):
            each.close()
        for client in self._clients.values():
            client.socket.close()

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            poll = original(select, "poll")()
            poll.register(self._woken.fileno(), select.POLLIN)
            poll.register(self._socket.fileno(), select.POLLIN)
            while not self._closed:
                self._turn(poll)
        finally:
            self._close_sockets()
            self._ended.release()

    def _turn(self, poll: Any) -> None:
        ready = poll.poll(self._timeout_ms())
        for fd, _ in ready:
            if fd == self._socket.fileno():
                self._accept(poll)
            elif fd in self._clients:
                self._serve(poll, self._clients[fd])
        now = time.monotonic()
        for client in [each for each in self._clients.values() if each.ends_at < now]:
            self._drop(poll, client)

    def _timeout_ms(self) -> int | None:
        longest_s = self._tick()
        if self._clients:
            ends_at = min(client.ends_at for client in self._clients.values())
            left_s = max(ends_at - time.monotonic(), 0)
            longest_s = left_s if longest_s is None else min(longest_s, left_s)
        return None if longest_s is None else int(longest_s * 1000) + 1

    def _accept(self, poll: Any) -> None:
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]  # as socket.socket uses it
        except OSError:  # the client has left, or there is no descriptor left
            _sleep(RETRY_S)
            return
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        if not is_allowed(connection):
            connection.close()
            return
        connection.setblocking(False)
        self._clients[fd] = _Client(connection)
        poll.register(fd, select.POLLIN)
        if len(self._clients) >= MOST_CLIENTS:
            poll.unregister(self._socket.fileno())

    def _serve(self, poll: Any, client: _Client) -> None:
        try:
            is_done = client.proceed(self._answer)
        except OSError:
            is_done = True
        if is_done:
            self._drop(poll, client)
        elif client.unsent:
            poll.modify(client.fd, select.POLLOUT)

    def _drop(self, poll: Any, client: _Client) -> None:
        poll.unregister(client.fd)
        del self._clients[client.fd]
        client.socket.close()
        if not self._closed:
            poll.register(self._socket.fileno(), select.POLLIN)  # again, if there were too many

    def _answer(self, line: bytes) -> bytes:
        try:
            get = parse_request(line)
            if get not in self._answers:
                raise BadControlRequest(f"expected get: {' or '.join(self._answers)}")
            return encode(self._answers[get]())
        except BadControlRequest as error:
            return error_answer(str(error))
        except Exception as error:  # what the app's objects raise must not end this thread
            return error_answer(f"{type(error).__name__} in the process that answers")


class _Client:
    """One connection: a request that arrives, then an answer that leaves.

    :ivar unsent: of the answer; empty until the request is complete.
    :ivar ends_at: when it is dropped, in ``time.monotonic()``.
    """

    def __init__(self, connection: _socket.socket) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        self.ends_at = time.monotonic() + DEADLINE_S
        self.unsent = memoryview(b"")
        self._received = b""

    def proceed(self, answer: Callable[[bytes], bytes]) -> bool:
        """Read or write what is possible now; True if nothing is left to do.

        :raises OSError: the client has left.
        """
        if not self.unsent:
            data = self.socket.recv(READ_SIZE)
            self._received += data
            line, line_break, _ = self._received.partition(b"\n")
            if line_break:
                self.unsent = memoryview(answer(line))
            else:
                return not data or len(self._received) >= LONGEST_REQUEST
        with suppress(BlockingIOError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        return not self.unsent


# -- the file --------------------------------------------------------------------------------------


def _listen_at(path: Path) -> _socket.socket:
    """Appears at ``path`` when it listens: before, it would be taken for a stale one."""
    unfinished = path.with_name(f".{os.getpid()}")
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            unfinished.unlink()
        listener.bind(os.fsencode(unfinished))
        os.chmod(unfinished, 0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        os.rename(unfinished, path)
    except OSError as error:
        listener.close()
        raise ControlError(f"control: cannot listen at {path}: {error.strerror}") from None
    return listener


def remove_stale(folder: Path) -> None:
    """Remove the sockets in a private folder that nobody listens at any more."""
    for path in folder.glob("*.sock"):
        if parts_of(path.name) is not None and _is_stale(path):
            with suppress(OSError):
                path.unlink()


def _is_stale(path: Path) -> bool:
    with suppress(OSError):
        probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            probe.setblocking(False)
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            return True
        finally:
            probe.close()
    return False
