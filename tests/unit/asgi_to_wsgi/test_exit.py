"""The interpreter ends while a WSGI server still has requests, in subprocesses."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info[:3] in ((3, 12, 0), (3, 12, 1)),
    reason="these versions start no thread at exit (python/cpython#113964)",
)

SETUP = """
import asyncio, logging, os, threading, time
from concurrent.futures import ThreadPoolExecutor
import bridge

logging.getLogger("asyncio").setLevel(logging.ERROR)  # -X dev warns of slow callbacks

def show(line):  # in one piece: print() writes the end of the line on its own
    os.write(1, f"{line}\\n".encode())

lifespan_ended = threading.Event()
jobs = ThreadPoolExecutor(1)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        show("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        # As an app may: these executors must not have been ended.
        await asyncio.to_thread(int)
        await asyncio.wrap_future(jobs.submit(int))
        show("shutdown")
        lifespan_ended.set()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await asyncio.to_thread(time.sleep, 0.02)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"answered"})

async def double(number):
    return await bridge.sync_to_async(lambda: 2 * number, thread_sensitive=False)()

def call(wsgi, path="/"):
    environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": path}
    try:
        show(b"".join(wsgi(environ, lambda *head: None)).decode())
    except Exception as error:
        show(repr(error))
"""


def output(*code: str) -> list[str]:
    """The lines that a script prints. It must exit with 0 and print nothing on stderr."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-u", "-c", "\n".join((SETUP, *code))]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("wsgi", ["bridge.to_wsgi(app)", 'bridge.Router({"/": app}).wsgi'])
def test_what_waits_in_an_executor_is_answered(wsgi: str) -> None:
    """gunicorn's gthread worker that an error has ended: its queue runs out at exit."""
    lines = output(
        f"wsgi = {wsgi}",
        "server = ThreadPoolExecutor(2)",
        "calls = [server.submit(call, wsgi) for _ in range(8)]",
        "while not calls[0].done(): time.sleep(0.001)",
    )

    assert lines == ["startup", *["answered"] * 8, "shutdown"]


def test_an_executor_that_is_gone_lets_its_queue_run_out() -> None:
    lines = output(
        "wsgi = bridge.to_wsgi(app)",
        "server = ThreadPoolExecutor(2)",
        "calls = [server.submit(call, wsgi) for _ in range(8)]",
        "while not calls[0].done(): time.sleep(0.001)",
        "server.shutdown(wait=False)",
        "del server",
    )

    assert lines == ["startup", *["answered"] * 8, "shutdown"]


def test_what_an_executor_starts_at_exit_is_answered() -> None:
    """The app starts with a call that waits in the queue when the main thread ends."""
    lines = output(
        "wsgi = bridge.to_wsgi(app, lifespan='off')",
        "server = ThreadPoolExecutor(1)",
        "async def app(scope, receive, send):",
        "    await send({'type': 'http.response.start', 'status': 200})",
        "    await send({'type': 'http.response.body', 'body': b'answered'})",
        "wsgi.app = app",
        "server.submit(time.sleep, 0.2)",
        "calls = [server.submit(call, wsgi) for _ in range(4)]",
    )

    assert lines == ["answered"] * 4


def test_the_sync_helpers_work_in_what_waits_in_an_executor() -> None:
    lines = output(
        "wsgi = bridge.to_wsgi(app)",
        "def call_both():",
        "    call(wsgi)",
        "    show(bridge.async_to_sync(double)(4))",
        "server = ThreadPoolExecutor(1)",
        "calls = [server.submit(call_both) for _ in range(3)]",
        "while not calls[0].done(): time.sleep(0.001)",
    )

    assert lines == ["startup", *["answered", "8"] * 3, "shutdown"]


def test_a_thread_that_python_waits_for_is_served() -> None:
    lines = output(
        "wsgi = bridge.to_wsgi(app)",
        "def serve():",
        "    for _ in range(4): call(wsgi); served.set()",
        "served = threading.Event()",
        "threading.Thread(target=serve).start()",
        "served.wait()",
    )

    assert lines == ["startup", *["answered"] * 4, "shutdown"]


def test_a_new_thread_after_the_shutdown_starts_the_app_again() -> None:
    """A server with a thread for each request, run by a thread that Python waits for."""
    lines = output(
        "wsgi = bridge.to_wsgi(app)",
        "def serve():",
        "    for turn in range(2):",
        "        thread = threading.Thread(target=call, args=(wsgi,))",
        "        thread.start(); thread.join(); served.set()",
        "        lifespan_ended.wait()",
        "served = threading.Event()",
        "server = threading.Thread(target=serve)",
        "server.start()",
        "served.wait()",
        "async def simple(scope, receive, send):",
        "    if scope['type'] == 'lifespan' and lifespan_ended.is_set():",
        "        await receive()",
        "        await send({'type': 'lifespan.startup.complete'})",
        "        await receive()",
        "        show('second shutdown')",
        "        await send({'type': 'lifespan.shutdown.complete'})",
        "    elif lifespan_ended.is_set():",
        "        await send({'type': 'http.response.start', 'status': 200})",
        "        await send({'type': 'http.response.body', 'body': b'answered again'})",
        "    else:",
        "        await app(scope, receive, send)",
        "wsgi.app = simple",
    )

    assert lines == ["startup", "answered", "shutdown", "answered again", "second shutdown"]


def test_an_app_is_shut_down_although_a_thread_of_its_server_hangs() -> None:
    """Python waits for that thread, without an end; the app does not."""
    lines = output(
        "wsgi = bridge.to_wsgi(app, shutdown_timeout_s=0.2)",
        "def hang():",
        "    call(wsgi)",
        "    hangs.set()",
        "    lifespan_ended.wait()",
        "hangs = threading.Event()",
        "server = ThreadPoolExecutor(1)",
        "server.submit(hang)",
        "hangs.wait()",
    )

    assert lines == ["startup", "answered", "shutdown"]


def test_a_daemon_thread_of_a_server_is_not_waited_for() -> None:
    lines = output(
        "wsgi = bridge.to_wsgi(app)",
        "def serve(): call(wsgi); served.set(); threading.Event().wait()",
        "served = threading.Event()",
        "threading.Thread(target=serve, daemon=True).start()",
        "served.wait()",
    )

    assert lines == ["startup", "answered", "shutdown"]
