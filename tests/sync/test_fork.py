"""A forked child has no threads and no loops; both helpers work in it (P12, asgiref #194)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable

import pytest

import bridge.sync
from bridge import async_to_sync, iterate_in_threads, sync_to_async
from bridge._threads import process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

LIMIT_S = 20


def here() -> threading.Thread:
    return threading.current_thread()


async def this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def in_a_child(work: Callable[[], object]) -> str:
    """The result of ``work`` in a forked child, as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python warns that a process with threads forks, which this tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run_child(work, writer)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"the child failed: {text}"
    return text


def _run_child(work: Callable[[], object], writer: int) -> None:
    code = 1
    try:
        threading.Timer(LIMIT_S, os._exit, (3,)).start()
        text = str(work())
        code = 0
    except BaseException as error:
        text = repr(error)
    os.write(writer, text.encode())
    sys.stdout.flush()
    os._exit(code)


def use_everything() -> None:
    """Start every thread and loop that the helpers keep."""

    async def main() -> None:
        await sync_to_async(here)()
        await sync_to_async(here, thread_sensitive=False)()
        await sync_to_async(here, thread_sensitive=False, executor=bridge.sync.limit(1))()
        async for _ in iterate_in_threads([1], thread_sensitive=False):
            pass

    asyncio.run(main())
    async_to_sync(main)()


def test_both_helpers_work_in_a_child_whose_parent_has_used_them() -> None:
    use_everything()

    def work() -> str:
        use_everything()
        return "done"

    assert in_a_child(work) == "done"
    use_everything()


def test_the_child_keeps_its_own_loop() -> None:
    parent_loop = async_to_sync(this_loop)()

    def work() -> bool:
        child_loop = async_to_sync(this_loop)()
        return child_loop is not parent_loop and child_loop is async_to_sync(this_loop)()

    assert in_a_child(work) == "True"
    assert async_to_sync(this_loop)() is parent_loop


def test_the_child_has_its_own_single_thread_and_shares_it_with_asgiref() -> None:
    import asgiref.sync

    use_everything()

    async def both() -> bool:
        ours = await sync_to_async(here)()
        return ours is await asgiref.sync.sync_to_async(here)()

    assert in_a_child(lambda: asyncio.run(both())) == "True"


async def test_sync_code_that_forks_does_not_run_on_its_parents_loop() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    def fork() -> str:
        return in_a_child(async_to_sync(answer))

    assert await sync_to_async(fork)() == "42"
    assert await sync_to_async(fork, thread_sensitive=False)() == "42"


def test_an_exception_as_the_child_starts_leaves_its_other_threads_and_loops_new() -> None:
    """Ctrl-C, for one: Python reports what a signal handler raises there, and goes on."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def work() -> str:
        use_everything()
        return "done"

    use_everything()
    first = process._in_child[min(process.Fork)]
    first.insert(0, interrupt)
    try:
        assert in_a_child(work) == "done"
    finally:
        first.remove(interrupt)


FORKED_WITHOUT_HOOKS = """
import asyncio, os, threading
os.register_at_fork = lambda **hooks: None  # those of Python itself are registered already
import asgiref.sync, bridge

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

def wsgi_app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % asgiref.sync.async_to_sync(loop_id)()]

async def loop_id():
    return id(asyncio.get_running_loop())

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def loop_of_wsgi_app():
    sent = []
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await bridge.to_asgi(wsgi_app)(scope, receive, send)
    return int(sent[1]["body"])

async def main():
    own = await loop_id()
    ours_in_theirs = asgiref.sync.sync_to_async(bridge.async_to_sync(loop_id))
    ours = bridge.sync_to_async(bridge.async_to_sync(loop_id))
    loops = [await ours_in_theirs(), await ours(), await loop_of_wsgi_app()]
    print([loop == own for loop in loops], flush=True)

bridge.to_wsgi(app).start()
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
else:
    asyncio.run(main())
"""


def test_a_fork_without_pythons_hooks() -> None:
    """uWSGI forks in C and by default calls no hooks. Async code still runs on the calling loop,
    and the exit does not wait for the app of the parent.
    """
    program = [sys.executable, "-W", "ignore", "-c", FORKED_WITHOUT_HOOKS]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=LIMIT_S, check=True)

    assert (ran.stdout, ran.stderr) == ("[True, True, True]\n", "")
