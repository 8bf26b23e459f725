"""The private state of asgiref that bridge relies on, checked against the installed release.

Each test checks one direction: asgiref's helpers use what a function of bridge sets, or a function
of bridge returns what asgiref's helpers set.
"""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asgiref.sync
import pytest
from asgiref.local import Local
from asgiref.sync import ThreadSensitiveContext

import bridge
from bridge._threads import asgiref_state as state

TIMEOUT_S = 30
VERSION = tuple(int(part) for part in version("asgiref").split(".")[:2])

get_ident = threading.get_ident


async def running_loop() -> AbstractEventLoop:
    return asyncio.get_running_loop()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def worker() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Runs functions on a thread that asgiref does not know, one after the other."""
    with ThreadPoolExecutor(1) as executor:
        yield lambda call: executor.submit(call).result(TIMEOUT_S)


# -- the async code that called a thread (rule 1) --------------------------------------------------


async def test_asgiref_runs_async_code_on_the_loop_that_bridge_sets() -> None:
    loop = asyncio.get_running_loop()

    def call() -> tuple[AbstractEventLoop, AbstractEventLoop]:
        before = asgiref.sync.async_to_sync(running_loop)()
        state.set_loop_of_this_thread(loop)
        return before, asgiref.sync.async_to_sync(running_loop)()

    before, after = await asyncio.to_thread(state.isolated, call)

    assert before is not loop
    assert after is loop


@pytest.mark.parametrize("sensitive", [True, False])
async def test_bridge_finds_the_loop_that_asgiref_sets(sensitive: bool) -> None:
    loop_of = asgiref.sync.sync_to_async(state.loop_of_this_thread, thread_sensitive=sensitive)

    assert await loop_of() is asyncio.get_running_loop()


def test_a_loop_that_does_not_run_is_not_used(worker: Any) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    worker(lambda: state.set_loop_of_this_thread(loop))

    assert worker(state.loop_of_this_thread) is None
    assert worker(lambda: asgiref.sync.async_to_sync(running_loop)()) is not loop


async def test_a_loop_of_another_process_is_not_used(worker: Any) -> None:
    """asgiref compares the process id, too: the loop did not survive the fork."""
    loop = asyncio.get_running_loop()

    def set_by_the_parent() -> None:
        state.set_loop_of_this_thread(loop)
        asgiref.sync.SyncToAsync.threadlocal.main_event_loop_pid = os.getppid()

    worker(set_by_the_parent)

    assert worker(state.loop_of_this_thread) is None
    assert worker(lambda: asgiref.sync.async_to_sync(running_loop)()) is not loop


async def test_bridge_finds_the_tasks_that_asgiref_adds() -> None:
    seen: list[bool] = []

    async def current_task_is_known(tasks: list[asyncio.Task[Any]]) -> None:
        seen.append(asyncio.current_task() in tasks)

    def call() -> list[asyncio.Task[Any]]:
        tasks = state.tasks_of_this_thread()
        assert tasks == []
        asgiref.sync.async_to_sync(current_task_is_known)(tasks)
        return tasks

    assert await asgiref.sync.sync_to_async(call)() == []
    assert seen == [True]


async def test_asgiref_adds_its_tasks_to_those_of_a_call_of_bridge() -> None:
    loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[Any]]()
    call = object()
    seen: list[Any] = []

    async def inside() -> None:
        seen.extend((asyncio.get_running_loop() is loop, asyncio.current_task() in tasks))

    def work() -> None:
        state.this_thread.__dict__.update(
            {state.LOOP: loop, state.LOOP_PID: os.getpid(), state.TASKS: tasks, state.CALL: call}
        )
        seen.append(state.current_call() is call)
        asgiref.sync.async_to_sync(inside)()

    await asyncio.to_thread(state.isolated, work)

    assert seen == [True, True, True]
    assert tasks == []


def test_a_thread_without_async_code_knows_nothing(worker: Any) -> None:
    assert worker(state.loop_of_this_thread) is None
    assert worker(state.tasks_of_this_thread) is None
    assert worker(state.current_call) is None
    assert worker(lambda: state.this_thread.__dict__) == {}


async def test_an_isolated_call_leaves_no_state_of_asgiref(worker: Any) -> None:
    loop = asyncio.get_running_loop()

    def run_a_job() -> None:
        handler: Any = asgiref.sync.sync_to_async(int)
        handler.thread_handler(loop, (None, None, None), [], lambda child: child(), int)
        assert state.loop_of_this_thread() is loop

    worker(lambda: state.isolated(run_a_job))
    assert worker(lambda: state.this_thread.__dict__) == {}

    worker(run_a_job)
    assert worker(state.loop_of_this_thread) is loop, "asgiref does not reset the loop"


# -- the waiting thread (rule 2) -------------------------------------------------------------------


def test_bridge_finds_the_executor_of_a_thread_that_waits_in_asgiref() -> None:
    async def main() -> Any:
        executor = state.executor_waiting_here()
        assert state.is_waiting(executor)
        assert state.thread_of(executor) is thread
        assert await asgiref.sync.sync_to_async(threading.current_thread)() is thread
        return executor

    thread = threading.current_thread()
    assert state.executor_waiting_here() is None

    executor = asgiref.sync.async_to_sync(main)()

    assert isinstance(executor, state.CurrentThreadExecutor)
    assert not state.is_waiting(executor)
    assert state.executor_waiting_here() is None


def test_the_context_variable_holds_that_executor() -> None:
    """Reading the variable first is a shortcut. It must not miss an executor."""

    async def main() -> None:
        assert state.WAITING_VARIABLE is not None
        assert state.WAITING_VARIABLE.get(None) is not None

    asgiref.sync.async_to_sync(main)()


async def test_asgiref_uses_the_executor_that_bridge_sets(executor: ThreadPoolExecutor) -> None:
    ident = executor.submit(get_ident).result(TIMEOUT_S)
    one, other = copy_context(), copy_context()

    async def thread_used() -> int:
        return await asgiref.sync.sync_to_async(get_ident)()

    one.run(state.set_executor_waiting_here, executor)

    assert one.run(state.executor_waiting_here) is executor
    assert await asyncio.create_task(thread_used(), context=one) == ident
    assert other.run(state.executor_waiting_here) is None
    assert await asyncio.create_task(thread_used(), context=other) != ident


def test_contexts_that_share_a_value_do_not_share_a_new_executor(
    executor: ThreadPoolExecutor,
) -> None:
    """asgiref before 3.9 changes the dict of a ``Local``, which copied contexts share."""
    first = Context()
    first.run(state.set_executor_waiting_here, executor)
    second = first.copy()

    second.run(state.set_executor_waiting_here, None)

    assert first.run(state.executor_waiting_here) is executor
    assert second.run(state.executor_waiting_here) is None


def test_an_executor_knows_the_one_further_out() -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(state.executor_waiting_here())

    async def outer() -> None:
        seen.append(state.executor_waiting_here())
        await asgiref.sync.sync_to_async(asgiref.sync.async_to_sync(inner))()

    asgiref.sync.async_to_sync(outer)()

    further_out, executor = seen
    assert executor is not further_out
    assert state.outer_executor(executor) is (further_out if VERSION >= (3, 9) else None)
    assert state.outer_executor(further_out) is None


def test_other_executors_have_no_waiting_thread(executor: ThreadPoolExecutor) -> None:
    assert state.thread_of(executor) is None
    assert state.outer_executor(executor) is None


def test_bridge_finds_the_executor_that_serves_a_loop_of_asgiref() -> None:
    async def main() -> tuple[AbstractEventLoop, bool]:
        loop = asyncio.get_running_loop()
        return loop, state.executor_serving(loop) is state.executor_waiting_here()

    loop, same = asgiref.sync.async_to_sync(main)()

    assert same
    assert state.executor_serving(loop) is None


async def test_asgiref_uses_the_executor_that_serves_a_loop(executor: ThreadPoolExecutor) -> None:
    ident = executor.submit(get_ident).result(TIMEOUT_S)
    loop = asyncio.get_running_loop()

    with state.calls_for(loop, executor):
        assert state.executor_serving(loop) is executor
        assert await asgiref.sync.sync_to_async(get_ident)() == ident

    assert state.executor_serving(loop) is None
    assert await asgiref.sync.sync_to_async(get_ident)() != ident


@contextmanager
def busy(submit: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Keeps the thread behind an executor busy, so that further jobs wait in its queue."""
    started, finish = threading.Event(), threading.Event()

    def block() -> None:
        started.set()
        finish.wait(TIMEOUT_S)

    submit(block)
    assert started.wait(TIMEOUT_S)
    try:
        yield
    finally:
        finish.set()


def test_the_queue_of_a_thread_pool_is_counted(executor: ThreadPoolExecutor) -> None:
    assert state.shows_its_queue(executor)
    with busy(executor.submit):
        assert state.queue_length(executor) == 0
        waiting = [executor.submit(int) for _ in range(3)]
        assert state.queue_length(executor) == 3
    for future in waiting:
        future.result(TIMEOUT_S)
    assert state.queue_length(executor) == 0


@pytest.mark.skipif(VERSION < (3, 9), reason="asgiref before 3.9 has another queue")
def test_the_queue_of_a_waiting_thread_is_counted() -> None:
    async def main() -> None:
        executor = state.executor_waiting_here()
        assert state.shows_its_queue(executor)
        with busy(executor.submit):
            assert state.queue_length(executor) == 0
            waiting = [executor.submit(int) for _ in range(3)]
            assert state.queue_length(executor) == 3
        for future in waiting:
            await asyncio.wrap_future(future)
        assert state.queue_length(executor) == 0

    asgiref.sync.async_to_sync(main)()


def test_the_queue_of_another_executor_is_unknown() -> None:
    class Own(ThreadPoolExecutor):
        """May have replaced its queue."""

    with Own(1) as executor:
        assert not state.shows_its_queue(executor)


# -- thread-sensitive contexts, and the single thread ----------------------------------------------


async def test_bridge_finds_the_context_that_asgiref_enters_and_its_executor() -> None:
    assert state.THREAD_SENSITIVE_CONTEXT.get(None) is None
    async with ThreadSensitiveContext() as context:
        assert state.THREAD_SENSITIVE_CONTEXT.get() is context
        ident = await asgiref.sync.sync_to_async(get_ident)()
        executor = state.context_executors[context]
        assert executor.submit(get_ident).result(TIMEOUT_S) == ident

    assert state.THREAD_SENSITIVE_CONTEXT.get(None) is None
    assert context not in state.context_executors


async def test_asgiref_uses_the_executor_that_bridge_puts_into_a_context(
    executor: ThreadPoolExecutor,
) -> None:
    ident = executor.submit(get_ident).result(TIMEOUT_S)
    async with ThreadSensitiveContext() as context:
        state.context_executors[context] = executor

        assert await asgiref.sync.sync_to_async(get_ident)() == ident


@pytest.mark.skipif(VERSION < (3, 13), reason="before asgiref 3.13 a context takes no executor")
async def test_an_exited_context_with_an_executor_raises_asgirefs_error(
    executor: ThreadPoolExecutor,
) -> None:
    context = ThreadSensitiveContext(executor=executor)
    async with context:
        left = copy_context()
        assert state.context_executors[context] is executor
        state.refuse_exited(context)

    async def outlive() -> None:
        await asgiref.sync.sync_to_async(int)()

    with pytest.raises(RuntimeError) as asgirefs:
        await asyncio.create_task(outlive(), context=left)
    with pytest.raises(RuntimeError) as ours:
        state.refuse_exited(context)
    assert str(ours.value) == str(asgirefs.value)


async def test_asgiref_runs_other_thread_sensitive_code_on_the_single_thread() -> None:
    ident = state.single_thread_executor().submit(get_ident).result(TIMEOUT_S)

    assert await asgiref.sync.sync_to_async(get_ident)() == ident


async def test_code_that_the_single_thread_waits_for_is_marked() -> None:
    """asgiref refuses a thread-sensitive call there, which would wait for itself."""
    assert not state.OCCUPIED.get(False)

    assert await asgiref.sync.sync_to_async(lambda: state.OCCUPIED.get(False))()

    assert not state.OCCUPIED.get(False)
    state.OCCUPIED.set(True)
    with pytest.raises(RuntimeError, match="would deadlock"):
        await asgiref.sync.sync_to_async(int)()


@pytest.mark.skipif(VERSION < (3, 10), reason="asgiref before 3.10 has no such context")
@pytest.mark.parametrize("first", ["asgiref", "bridge"])
def test_a_single_thread_context_has_one_thread(first: str) -> None:
    async def ident() -> int:
        return get_ident()

    def idents() -> Iterator[int]:
        if first == "asgiref":
            yield asgiref.sync.async_to_sync(ident)()
        executor = state.single_thread_context_executor()
        assert executor is not None
        yield executor.submit(get_ident).result(TIMEOUT_S)
        yield asgiref.sync.async_to_sync(ident)()

    assert state.single_thread_context_executor() is None
    context: Any = asgiref.sync.AsyncSingleThreadContext
    with context():
        assert len(set(idents())) == 1
    assert state.single_thread_context_executor() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_gets_a_new_single_thread() -> None:
    code = """
import asyncio, os, warnings
import asgiref.sync
import bridge._threads.asgiref_state

warnings.simplefilter("ignore", DeprecationWarning)  # Python warns: the parent has threads
assert asyncio.run(asgiref.sync.sync_to_async(os.getpid)()) == os.getpid()
child = os.fork()
if not child:
    print(asyncio.run(asgiref.sync.sync_to_async(os.getpid)()) == os.getpid(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
assert asyncio.run(asgiref.sync.sync_to_async(os.getpid)()) == os.getpid()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        timeout=TIMEOUT_S,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


# -- the data of a Local (rule 3) ------------------------------------------------------------------


def set_local() -> tuple[Local, Context]:
    """A ``Local`` with data that this thread owns, and the context that holds the data."""
    local, context = Local(), Context()
    context.run(setattr, local, "user", "eve")
    return local, context


def test_a_context_with_data_of_a_local_is_recognised() -> None:
    _, context = set_local()
    other = Context()
    other.run(ContextVar[str]("variable").set, "value")

    assert state.holds_locals(context) is state.TAGS_LOCALS
    assert not state.holds_locals(other)


def test_data_moves_to_another_thread_with_its_context(worker: Any) -> None:
    local, context = set_local()

    def moved() -> str | None:
        state.rehome(context)
        user: str | None = getattr(local, "user", None)
        return user

    def read() -> str | None:
        return getattr(local, "user", None)

    assert worker(lambda: context.copy().run(read)) == (None if state.TAGS_LOCALS else "eve")
    assert worker(lambda: context.run(moved)) == "eve"


def test_a_single_value_moves_to_another_thread(worker: Any) -> None:
    local, context = set_local()
    ((variable, value),) = context.items()

    def moved() -> str | None:
        variable.set(state.owned(value))
        user: str | None = getattr(local, "user", None)
        return user

    assert worker(lambda: Context().run(moved)) == "eve"


def test_other_values_are_left_as_they_are() -> None:
    value = object()

    assert state.owned(value) is value


# -- nothing else of asgiref -----------------------------------------------------------------------

PUBLIC = {"ThreadSensitiveContext", "iscoroutinefunction", "markcoroutinefunction", "sync_to_async"}
PACKAGE = Path(bridge.__file__).parent


def imports_of_asgiref(source: str) -> set[str]:
    """The names that a module imports from asgiref; a whole module as its dotted name."""
    names = set[str]()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                names |= {each.name for each in aliases if each.name.split(".")[0] == "asgiref"}
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                if module.split(".")[0] == "asgiref":
                    names |= {each.name for each in aliases}
    return names


def test_no_other_module_imports_anything_private_of_asgiref() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): imports_of_asgiref(path.read_text("utf-8"))
        for path in PACKAGE.rglob("*.py")
    }

    assert found.pop("_threads/asgiref_state.py") > {"AsyncToSync", "SyncToAsync"}
    assert {path: names - PUBLIC for path, names in found.items() if names - PUBLIC} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import asgiref.sync", {"asgiref.sync"}),
        ("import os, asgiref as a", {"asgiref"}),
        ("def f():\n    from asgiref.sync import SyncToAsync as S", {"SyncToAsync"}),
        ("from asgiref import local", {"local"}),
        ("from asgiref_extras import x\nfrom .asgiref import y", set()),
    ],
)
def test_every_form_of_import_is_found(source: str, names: set[str]) -> None:
    assert imports_of_asgiref(source) == names
