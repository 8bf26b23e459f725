"""`async_to_sync`, as asgiref's documentation describes it, on a kept loop (P18)."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import signal
import socket
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import asgiref.sync
import pytest
from asgiref.local import Local

from bridge import DeadlockError, async_to_sync, sync_to_async
from tests.harness.builds import frees_at_once
from tests.harness.loops import FACTORIES, RUNNERS

DEADLINE_S = 30


async def here() -> threading.Thread:
    return threading.current_thread()


async def this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def in_a_thread(function: Callable[[], Any]) -> Any:
    """The result of ``function`` on a new thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(DEADLINE_S)
    return results[0]


# -- without a calling loop -----------------------------------------------------------------------


def test_a_call_returns_what_the_coroutine_returns() -> None:
    async def add(left: int, *, right: int) -> int:
        await asyncio.sleep(0)
        return left + right

    assert async_to_sync(add)(1, right=2) == 3


def test_a_call_raises_what_the_coroutine_raises() -> None:
    error = ValueError("no")

    async def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        async_to_sync(fail)()
    assert caught.value is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_is_raised_on_the_calling_thread_and_not_in_the_loop(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        async_to_sync(fail)()
    assert async_to_sync(here)().is_alive()


def test_the_loop_is_kept() -> None:
    """P18: asgiref #370."""
    loop = async_to_sync(this_loop)()

    assert async_to_sync(this_loop)() is loop
    assert in_a_thread(async_to_sync(this_loop)) is loop
    assert async_to_sync(here)() is not threading.current_thread()


def test_calls_start_no_threads() -> None:
    async_to_sync(here)()
    before = set(threading.enumerate())

    for _ in range(50):
        async_to_sync(here)()

    assert set(threading.enumerate()) <= before


def test_a_connection_opened_in_one_call_is_used_in_the_next() -> None:
    """P18: asgiref has closed its loop by then."""
    listener = socket.create_server(("127.0.0.1", 0))
    streams = async_to_sync(asyncio.open_connection)(*listener.getsockname())
    peer, _ = listener.accept()

    async def ask(question: bytes) -> bytes:
        reader, writer = streams
        writer.write(question)
        await writer.drain()
        return await reader.readline()

    def answer() -> None:
        peer.sendall(peer.recv(100).upper())

    with listener, peer:
        for _ in range(2):
            thread = threading.Thread(target=answer)
            thread.start()
            assert async_to_sync(ask)(b"hello\n") == b"HELLO\n"
            thread.join(DEADLINE_S)

        async def close() -> None:
            streams[1].close()
            await streams[1].wait_closed()

        async_to_sync(close)()


def test_a_task_that_is_not_awaited_keeps_running() -> None:
    done = threading.Event()

    async def later() -> None:
        await asyncio.sleep(0)
        done.set()

    tasks = []

    async def start() -> None:
        tasks.append(asyncio.create_task(later()))

    async_to_sync(start)()

    assert done.wait(DEADLINE_S)


def test_threads_share_the_loop_at_the_same_time() -> None:
    met = []

    async def meet(barrier: asyncio.Barrier) -> None:
        met.append(await barrier.wait())

    async def make() -> asyncio.Barrier:
        return asyncio.Barrier(4)

    barrier = async_to_sync(make)()
    threads = [threading.Thread(target=async_to_sync(meet), args=(barrier,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert sorted(met) == [0, 1, 2, 3]


def test_force_new_loop_makes_a_loop_and_closes_it() -> None:
    kept = async_to_sync(this_loop)()
    before = set(threading.enumerate())

    loop = async_to_sync(this_loop, force_new_loop=True)()

    assert loop is not kept
    assert loop.is_closed()
    assert set(threading.enumerate()) <= before


def test_a_new_loop_cancels_its_remaining_tasks() -> None:
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    tasks = []

    async def start() -> None:
        tasks.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)

    async_to_sync(start, force_new_loop=True)()

    assert cancelled == [True]


@pytest.mark.skipif(
    not hasattr(asgiref.sync, "AsyncSingleThreadContext"), reason="asgiref >= 3.10 has it"
)
def test_asgirefs_single_thread_context_is_respected() -> None:
    with asgiref.sync.AsyncSingleThreadContext():  # type: ignore[no-untyped-call]  # asgiref's
        theirs = asgiref.sync.async_to_sync(here)()
        ours = async_to_sync(here)()

    assert ours is theirs
    assert ours is not async_to_sync(here)()


# -- with a calling loop --------------------------------------------------------------------------


async def test_under_sync_to_async_it_runs_on_the_callers_loop() -> None:
    for thread_sensitive in (True, False):
        call = sync_to_async(async_to_sync(this_loop), thread_sensitive=thread_sensitive)
        assert await call() is asyncio.get_running_loop()


async def test_under_asgirefs_sync_to_async_it_runs_on_the_callers_loop() -> None:
    loop = await asgiref.sync.sync_to_async(async_to_sync(this_loop))()

    assert loop is asyncio.get_running_loop()


async def test_asgirefs_helper_runs_on_the_callers_loop_under_ours() -> None:
    loop = await sync_to_async(asgiref.sync.async_to_sync(this_loop))()

    assert loop is asyncio.get_running_loop()


async def test_in_a_users_own_thread_it_runs_on_the_kept_loop() -> None:
    loop = await asyncio.to_thread(async_to_sync(this_loop))

    assert loop is not asyncio.get_running_loop()
    assert loop is await asyncio.to_thread(async_to_sync(this_loop))


async def test_a_task_factory_is_used() -> None:
    made = []

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)

    assert await sync_to_async(async_to_sync(this_loop))() is asyncio.get_running_loop()
    assert len(made) == 1


async def test_a_failing_task_factory_fails_the_call() -> None:
    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        coroutine.close()
        raise ValueError("no tasks")

    asyncio.get_running_loop().set_task_factory(factory)
    try:
        with pytest.raises(ValueError, match="no tasks"):
            await sync_to_async(async_to_sync(this_loop))()
    finally:
        asyncio.get_running_loop().set_task_factory(None)


# -- what it refuses ------------------------------------------------------------------------------


async def test_on_the_thread_of_a_running_loop_it_is_refused_at_once() -> None:
    function = async_to_sync(this_loop)

    with pytest.raises(DeadlockError, match="same thread as an async event loop"):
        function()
    with pytest.raises(RuntimeError, match="just await the async function directly"):
        function()


def test_a_function_that_is_not_async_causes_a_warning() -> None:
    with pytest.warns(UserWarning, match="async_to_sync was passed a non-async-marked callable"):
        wrapped = async_to_sync(lambda: here())

    assert wrapped().is_alive()


def test_async_callables_cause_no_warning() -> None:
    class Callable:
        async def __call__(self, value: int) -> int:
            return value

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert async_to_sync(Callable())(1) == 1
        assert async_to_sync(functools.partial(Callable().__call__, 2))() == 2


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_loop_that_was_stopped_is_not_waited_for(run: Any) -> None:
    """asgiref #525, #545: the loop that called this thread has been closed since."""
    started = threading.Event()
    go_on = threading.Event()
    results: list[asyncio.AbstractEventLoop] = []
    done = threading.Event()

    def work() -> None:
        started.set()
        go_on.wait(DEADLINE_S)
        results.append(async_to_sync(this_loop)())
        done.set()

    async def main() -> None:
        task = asyncio.ensure_future(sync_to_async(work, thread_sensitive=False)())
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()

    run(main())
    go_on.set()

    assert done.wait(DEADLINE_S)
    assert results[0] is async_to_sync(this_loop)()


@pytest.mark.parametrize("new_loop", FACTORIES.values(), ids=FACTORIES)
def test_a_coroutine_moves_if_its_loop_stops_before_starting_it(new_loop: Any) -> None:
    """asgiref #562: the posted coroutine is withdrawn and runs on the kept loop."""
    loop = new_loop()
    results: list[asyncio.AbstractEventLoop] = []
    done = threading.Event()
    started = threading.Event()

    def work() -> None:
        started.set()
        results.append(async_to_sync(this_loop)())
        done.set()

    def stop() -> None:
        assert started.wait(DEADLINE_S)
        # This callback blocks the loop until the coroutine is posted; then the loop stops.
        while not done.wait(0.01) and not _has_posts(loop):
            pass

    async def main() -> None:
        loop.call_soon(stop)
        loop.call_soon(loop.stop)
        await sync_to_async(work, thread_sensitive=False)()

    task = loop.create_task(main())
    loop.run_forever()
    assert done.wait(DEADLINE_S)
    loop.run_until_complete(task)
    loop.close()

    assert results[0] in (loop, async_to_sync(this_loop)())


def _has_posts(loop: asyncio.AbstractEventLoop) -> bool:
    from bridge._threads.loop_inbox import inbox_of

    return bool(inbox_of(loop)._posts)


def test_a_loop_that_stops_under_a_running_coroutine_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    errors: list[BaseException] = []

    async def forever() -> None:
        loop.stop()
        await asyncio.Event().wait()

    def work() -> None:
        try:
            async_to_sync(forever)()
        except BaseException as error:
            errors.append(error)
        done.set()

    async def main() -> None:
        await sync_to_async(work, thread_sensitive=False)()

    done = threading.Event()
    task = loop.create_task(main())
    loop.run_forever()
    assert done.wait(DEADLINE_S)
    loop.run_until_complete(task)
    for pending in asyncio.all_tasks(loop):
        pending.cancel()
        loop.run_until_complete(asyncio.gather(pending, return_exceptions=True))
    loop.close()

    assert isinstance(errors[0], DeadlockError)
    assert "has been stopped" in str(errors[0])


# -- context --------------------------------------------------------------------------------------


def test_context_variables_pass_in_both_directions() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    async def swap() -> str:
        before = variable.get()
        variable.set("inside")
        return before

    assert async_to_sync(swap)() == "outside"
    assert variable.get() == "inside"


def test_asgiref_locals_pass_in_both_directions() -> None:
    local = Local()
    local.value = "outside"

    async def swap() -> str:
        before: str = local.value
        local.value = "inside"
        return before

    assert async_to_sync(swap)() == "outside"
    assert local.value == "inside"


def test_the_exception_being_handled_is_also_handled_inside() -> None:
    async def handled() -> BaseException | None:
        return sys.exc_info()[1]

    error = ValueError("being handled")
    try:
        raise error
    except ValueError:
        assert async_to_sync(handled)() is error
    assert async_to_sync(handled)() is None


def test_it_is_a_decorator_with_and_without_arguments() -> None:
    class Thing:
        @async_to_sync
        async def plain(self) -> int:
            """Its docstring."""
            return 1

        @async_to_sync(force_new_loop=True)
        async def with_arguments(self) -> int:
            return 2

    thing = Thing()

    assert (thing.plain(), thing.with_arguments()) == (1, 2)
    assert Thing.plain.__doc__ == "Its docstring."
    assert not asgiref.sync.iscoroutinefunction(Thing.__dict__["plain"])
    assert repr(Thing.__dict__["plain"]).startswith("async_to_sync(")


@frees_at_once
def test_a_call_keeps_no_references() -> None:
    class Thing:
        pass

    async def take(thing: Thing) -> None:
        await asyncio.sleep(0)
        raise ValueError

    thing = Thing()
    reference = weakref.ref(thing)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError):
            async_to_sync(take)(thing)
        async_to_sync(here)()  # the loop drops the task before
        del thing
        assert reference() is None
    finally:
        gc.enable()


# -- signals --------------------------------------------------------------------------------------


def _interrupt_main_thread() -> None:
    signal.raise_signal(signal.SIGINT) if sys.platform == "win32" else signal.pthread_kill(
        threading.main_thread().ident or 0, signal.SIGINT
    )


def test_an_interrupt_cancels_the_coroutine_and_waits_for_it() -> None:
    steps = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(_interrupt_main_thread)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("cancelled")
            await asyncio.sleep(0)
            steps.append("unwound")
            raise

    with pytest.raises(KeyboardInterrupt):
        async_to_sync(work)()

    assert steps == ["cancelled", "unwound"]
    assert async_to_sync(here)().is_alive()


def test_while_it_unwinds_it_can_still_call_sync_code() -> None:
    steps = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(_interrupt_main_thread)
        try:
            await asyncio.Event().wait()
        finally:
            steps.append(await sync_to_async(threading.current_thread)())

    with pytest.raises(KeyboardInterrupt):
        async_to_sync(work)()

    assert steps == [threading.current_thread()]


def test_an_interrupt_in_nested_sync_code_reaches_the_coroutine() -> None:
    seen = []

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    async def work() -> None:
        try:
            await sync_to_async(interrupted)()
        except KeyboardInterrupt:
            seen.append(True)
            raise

    with pytest.raises(KeyboardInterrupt):
        async_to_sync(work)()

    assert seen == [True]


INTERRUPTED_AS_IT_ENDS = """
import _thread
import bridge

async def work():
    _thread.interrupt_main()  # the handler runs only when the main thread is woken

for _ in range(3):
    try:
        bridge.async_to_sync(work)()
    except KeyboardInterrupt:
        print("interrupted")

async def last():
    return "continued"

print(bridge.async_to_sync(last)())
"""


def test_an_interrupt_as_the_coroutine_ends_is_raised() -> None:
    """The waiting thread has been woken, but has not yet checked why."""
    program = [sys.executable, "-c", INTERRUPTED_AS_IT_ENDS]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=DEADLINE_S, check=True)

    assert ended.stdout.split("\n") == ["interrupted"] * 3 + ["continued", ""]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_a_signal_handler_may_raise_at_any_moment() -> None:
    """An interrupted wait must not affect later ones. asgiref's helpers pass this test, too."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.sync.signals"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 5,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
