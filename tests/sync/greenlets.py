"""Programs that patch themselves with gevent or eventlet. Each runs in its own process.

::

    python -m tests.sync.greenlets gevent many
"""

from __future__ import annotations

import faulthandler
import sys
import warnings
from typing import Any

LIMIT_S = 30
GREENLETS = 20


def many() -> None:
    """Many greenlets wait for coroutines at the same time (flask #5881, asgiref #443)."""
    import asyncio
    import threading

    from bridge import async_to_sync, iterate_in_loop, sync_to_async

    async def meet(barrier: asyncio.Barrier) -> tuple[Any, ...]:
        async with asyncio.timeout(LIMIT_S):
            await barrier.wait()
        return (
            threading.current_thread(),
            await sync_to_async(threading.current_thread)(),
            await sync_to_async(threading.current_thread, thread_sensitive=False)(),
        )

    async def make() -> asyncio.Barrier:
        return asyncio.Barrier(GREENLETS)

    def wait_at(barrier: asyncio.Barrier) -> None:
        here = threading.current_thread()
        loop_thread, sensitive, pool_thread = async_to_sync(meet)(barrier)
        assert sensitive is here
        assert len({here, loop_thread, pool_thread}) == 3

    def stream() -> None:
        async def items() -> Any:
            for number in range(100):
                await asyncio.sleep(0)
                yield number

        assert list(iterate_in_loop(items(), window=2)) == list(range(100))

    barrier = async_to_sync(make)()
    _run_all([lambda: wait_at(barrier)] * GREENLETS + [stream] * 3)


def many_loops() -> None:
    """Several loops run at the same time, each for its own greenlet; an app's own is one."""
    import asyncio

    from bridge import async_to_sync

    arrived: list[asyncio.AbstractEventLoop] = []
    own_generators: list[str] = []

    async def items() -> Any:
        try:
            yield 1
            yield 2
        finally:
            own_generators.append("closed")

    async def meet() -> None:
        async for _ in items():
            arrived.append(asyncio.get_running_loop())
            break
        async with asyncio.timeout(LIMIT_S):
            while len(arrived) < 4:
                await asyncio.sleep(0.001)
        assert asyncio.get_running_loop() in arrived

    on_a_new_loop = async_to_sync(meet, force_new_loop=True)
    _run_all([on_a_new_loop] * 2 + [async_to_sync(meet), lambda: asyncio.run(meet())])
    assert len(set(arrived)) == 4
    assert own_generators == ["closed"] * 4


def asgirefs_threads() -> None:
    """Thread-sensitive code that no thread waits for, and the thread of a context."""
    import asyncio
    import contextvars
    import threading

    import asgiref.sync

    from bridge import async_to_sync, sync_to_async

    async def without_waiting_thread() -> threading.Thread:
        call = sync_to_async(threading.current_thread)
        return await asyncio.create_task(call(), context=contextvars.Context())

    assert async_to_sync(without_waiting_thread)() is not threading.current_thread()
    context = getattr(asgiref.sync, "AsyncSingleThreadContext", None)
    if context is not None:
        with context():
            async_to_sync(asyncio.sleep)(0)


def iterating() -> None:
    """A reserved thread waits for its calls as a greenlet."""
    from bridge import async_to_sync, iterate_in_threads

    async def collect() -> list[int]:
        return [item async for item in iterate_in_threads(range(100))]

    assert async_to_sync(collect)() == list(range(100))


def forked() -> None:
    """In a forked child the parent's loop, a greenlet that was copied, never runs again."""
    import asyncio
    import os
    import time

    from bridge import async_to_sync

    ran_in: list[int] = []

    async def repeat() -> None:
        while True:
            ran_in.append(os.getpid())
            await asyncio.sleep(0.001)

    async def start() -> None:
        tasks.append(asyncio.create_task(repeat()))

    async def number() -> int:
        return 1

    tasks: list[asyncio.Task[None]] = []
    async_to_sync(start)()
    child = os.fork()
    if child == 0:
        time.sleep(0.1)
        in_child = os.getpid() in ran_in
        os._exit(2 if in_child else async_to_sync(number)())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1


def uvloop_is_refused() -> None:
    """A loop that cannot wait as a greenlet would stop all others."""
    import pytest
    import uvloop

    from bridge import ConfigError, to_wsgi
    from tests.harness.wsgi import call, environ_of

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"loop_factory=.* has patched threading"):
        call(to_wsgi(app, loop_factory=uvloop.new_event_loop), environ_of())


def behind_a_server() -> None:
    """An ASGI server's loop lets no greenlets run: the threads that bridge starts are real."""
    import asyncio
    import contextvars

    import pytest

    from bridge import DeadlockError, async_to_sync, sync_to_async, to_asgi
    from tests.harness.asgi import call_async, http_scope

    def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
        async_to_sync(asyncio.sleep)(0.001)
        start_response("200 OK", [])
        return [b"answered"]

    async def serve() -> None:
        if PATCHER == "eventlet":  # its thread pool cannot wake a greenlet
            with pytest.raises(DeadlockError, match="eventlet has monkey-patched threading"):
                await call_async(app, http_scope())
            return
        calls = [call_async(app, http_scope()) for _ in range(GREENLETS)]
        assert {response.body for response in await asyncio.gather(*calls)} == {b"answered"}
        assert await sync_to_async(len, thread_sensitive=False)("ab") == 2
        without_thread = asyncio.create_task(sync_to_async(abs)(1), context=contextvars.Context())
        with pytest.raises(DeadlockError, match="gevent has monkey-patched threading"):
            await without_thread

    app = to_asgi(wsgi_app)
    asyncio.run(serve())


def _run_all(functions: list[Any]) -> None:
    """Run each in a thread of its own, which is a greenlet."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(functions)) as executor:
        for future in [executor.submit(function) for function in functions]:
            future.result()


PROGRAMS = {
    function.__name__: function
    for function in (
        many,
        many_loops,
        asgirefs_threads,
        iterating,
        forked,
        uvloop_is_refused,
        behind_a_server,
    )
}


PATCHER = ""


def main(patcher: str, program: str) -> None:
    global PATCHER
    PATCHER = patcher
    if patcher == "gevent":
        from gevent import monkey  # type: ignore[import-untyped]  # has no stubs

        monkey.patch_all()
    else:
        warnings.simplefilter("ignore")
        import eventlet  # type: ignore[import-untyped]  # has no stubs

        eventlet.monkey_patch()
    PROGRAMS[program]()


if __name__ == "__main__":
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    main(*sys.argv[1:])
    faulthandler.cancel_dump_traceback_later()
    print("ended")
