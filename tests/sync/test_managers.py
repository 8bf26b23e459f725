"""`enter_in_threads` and `enter_in_loop` (P19: asgiref #38)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asgiref.sync
import pytest

import bridge
from bridge import (
    DeadlockError,
    WorkerPool,
    async_to_sync,
    enter_in_loop,
    enter_in_threads,
    sync_to_async,
)
from bridge.sync import loop_task
from tests.harness.wsgi import call, environ_of

DEADLINE_S = 30


def here() -> threading.Thread:
    return threading.current_thread()


class Manager:
    """A sync context manager that records its steps and their threads."""

    def __init__(self, *, suppress: bool = False) -> None:
        self.steps: list[tuple[str, threading.Thread]] = []
        self.errors: list[Any] = []
        self.suppress = suppress
        self.entering = threading.Event()
        self.may_enter = threading.Event()
        self.may_enter.set()

    def __enter__(self) -> str:
        self.entering.set()
        assert self.may_enter.wait(DEADLINE_S)
        self.steps.append(("enter", here()))
        return "value"

    def __exit__(self, *exc_info: Any) -> bool:
        self.steps.append(("exit", here()))
        self.errors.append(exc_info[1])
        return self.suppress

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.steps]

    async def is_entering(self) -> None:
        while not self.entering.is_set():
            await asyncio.sleep(0.001)

    async def exited(self) -> None:
        while "exit" not in self.names:
            await asyncio.sleep(0.001)


@pytest.fixture(params=[True, False], ids=["thread-sensitive", "reserved-thread"])
def sensitive(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# -- sync manager, async code ----------------------------------------------------------------------


async def test_it_is_entered_and_exited_on_one_thread(sensitive: bool) -> None:
    manager = Manager()
    async with enter_in_threads(manager, thread_sensitive=sensitive) as value:
        assert value == "value"
        assert manager.names == ["enter"]

    assert manager.names == ["enter", "exit"]
    assert len({thread for _, thread in manager.steps}) == 1
    assert here() not in {thread for _, thread in manager.steps}


async def test_thread_sensitive_calls_run_on_its_thread() -> None:
    manager = Manager()
    async with enter_in_threads(manager):
        assert await sync_to_async(here)() is manager.steps[0][1]


async def test_a_lock_that_only_its_own_thread_may_release(sensitive: bool) -> None:
    async with enter_in_threads(threading.RLock(), thread_sensitive=sensitive):
        await asyncio.sleep(0)


async def test_an_exception_of_the_body_is_passed_to_it_and_raised(sensitive: bool) -> None:
    manager = Manager()
    error = ValueError("from the body")
    with pytest.raises(ValueError, match="from the body"):
        async with enter_in_threads(manager, thread_sensitive=sensitive):
            raise error

    assert manager.errors == [error]


async def test_it_may_suppress_an_exception() -> None:
    async with enter_in_threads(Manager(suppress=True)):
        raise ValueError


async def test_a_cancelled_body_exits_the_manager(sensitive: bool) -> None:
    manager = Manager()
    entered = asyncio.Event()

    async def body() -> None:
        async with enter_in_threads(manager, thread_sensitive=sensitive):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert isinstance(manager.errors[0], asyncio.CancelledError)


async def test_a_manager_is_exited_if_its_caller_is_cancelled_while_entering(
    sensitive: bool,
) -> None:
    manager = Manager()
    manager.may_enter.clear()

    async def body() -> None:
        async with enter_in_threads(manager, thread_sensitive=sensitive):
            raise AssertionError("cancelled before")

    task = asyncio.create_task(body())
    await manager.is_entering()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert manager.names == []
    manager.may_enter.set()
    await manager.exited()

    assert manager.names == ["enter", "exit"]
    assert isinstance(manager.errors[0], asyncio.CancelledError)


async def test_the_exit_for_a_cancelled_caller_may_call_async_code(sensitive: bool) -> None:
    steps: list[str] = []

    async def release() -> None:
        await asyncio.sleep(0)
        steps.append("released")

    class Connection(Manager):
        def __exit__(self, *exc_info: Any) -> bool:
            async_to_sync(release)()
            return super().__exit__(*exc_info)

    async def body() -> None:
        async with enter_in_threads(connection, thread_sensitive=sensitive):
            steps.append("body")

    connection = Connection()
    connection.may_enter.clear()
    task = asyncio.create_task(body())
    await connection.is_entering()
    task.cancel()
    await asyncio.wait((task,))
    connection.may_enter.set()
    await connection.exited()

    assert steps == ["released"]


async def test_a_caller_cancelled_before_entering_starts_enters_nothing() -> None:
    manager = Manager()
    hold = threading.Event()
    first = asyncio.create_task(sync_to_async(hold.wait)(DEADLINE_S))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), enter_in_threads(manager):
            pass
    hold.set()
    await first
    await sync_to_async(abs)(1)

    assert manager.names == []


async def test_a_manager_is_exited_if_its_caller_is_cancelled_while_exiting() -> None:
    manager = Manager()
    hold = threading.Event()
    exiting = asyncio.Event()
    blockers = []

    async def body() -> None:
        async with enter_in_threads(manager):
            blockers.append(asyncio.ensure_future(sync_to_async(hold.wait)(DEADLINE_S)))
            await asyncio.sleep(0)
            exiting.set()

    task = asyncio.create_task(body())
    await exiting.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()
    await manager.exited()


async def test_a_reserved_thread_returns_to_its_pool() -> None:
    pool = WorkerPool(1, name="one")
    for _ in range(3):
        async with enter_in_threads(Manager(), thread_sensitive=False, executor=pool):
            assert pool.stats().running == 1
        while pool.stats().running:
            await asyncio.sleep(0.001)
    pool.shutdown()


def test_a_manager_whose_loop_is_closed_is_exited_and_releases_its_thread() -> None:
    pool = WorkerPool(1, name="one")
    manager = Manager()

    async def body() -> None:
        async with enter_in_threads(manager, thread_sensitive=False, executor=pool):
            await asyncio.Event().wait()

    async def start() -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(body())
        while not manager.names:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(start())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is destroyed on purpose
    del task
    gc.collect()

    assert pool.submit(abs, -1).result(DEADLINE_S) == 1
    assert manager.names == ["enter", "exit"]
    pool.shutdown()


async def test_the_body_sees_context_variables_of_the_manager() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    @contextlib.contextmanager
    def manager() -> Iterator[None]:
        token = variable.set("set by the manager")
        yield
        assert variable.get() == "set by the body"
        variable.set(token.old_value if token.old_value is not token.MISSING else "unset")

    async with enter_in_threads(manager()):
        assert variable.get() == "set by the manager"
        variable.set("set by the body")

    assert variable.get() == "unset"


@contextlib.contextmanager
def bound(variable: contextvars.ContextVar[str], value: str) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


async def test_a_manager_may_reset_variables_that_it_set(sensitive: bool) -> None:
    new = contextvars.ContextVar[str]("new")
    old = contextvars.ContextVar[str]("old")
    of_the_body = contextvars.ContextVar[str]("of_the_body")
    old.set("before")
    of_the_body.set("before")

    async with (
        enter_in_threads(bound(new, "inside"), thread_sensitive=sensitive),
        enter_in_threads(bound(old, "inside"), thread_sensitive=sensitive),
    ):
        assert (new.get(), old.get()) == ("inside", "inside")
        of_the_body.set("inside")

    assert new not in contextvars.copy_context()
    assert (old.get(), of_the_body.get()) == ("before", "inside")


def test_an_object_that_is_not_a_context_manager_is_refused_at_once() -> None:
    wrong: Any = 1
    with pytest.raises(TypeError, match="takes an object with __enter__ and __exit__, not 1"):
        enter_in_threads(wrong)
    wrong = asyncio.Lock()
    with pytest.raises(TypeError, match="an async one needs no helper"):
        enter_in_threads(wrong)
    wrong = threading.Lock()
    with pytest.raises(TypeError, match="a sync one needs no helper"):
        enter_in_loop(wrong)


# -- async manager, sync code ----------------------------------------------------------------------


class AsyncManager:
    """An async context manager that records its steps and their tasks."""

    def __init__(self, *, suppress: bool = False, error: BaseException | None = None) -> None:
        self.steps: list[tuple[str, Any]] = []
        self.errors: list[Any] = []
        self.suppress = suppress
        self.error = error

    async def __aenter__(self) -> str:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.steps.append(("enter", asyncio.current_task()))
        return "value"

    async def __aexit__(self, *exc_info: Any) -> bool:
        await asyncio.sleep(0)
        self.steps.append(("exit", asyncio.current_task()))
        self.errors.append(exc_info[1])
        return self.suppress


def test_it_is_entered_and_exited_in_one_task() -> None:
    manager = AsyncManager()
    with enter_in_loop(manager) as value:
        assert value == "value"

    assert [name for name, _ in manager.steps] == ["enter", "exit"]
    assert len({task for _, task in manager.steps}) == 1


def test_a_task_group_works_from_enter_to_exit() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(True)

    with enter_in_loop(asyncio.TaskGroup()) as group:

        async def start() -> None:
            group.create_task(work())

        async_to_sync(start)()

    assert done == [True]


def test_an_exception_of_the_body_is_passed_to_it_and_raised_unchanged() -> None:
    manager = AsyncManager()
    error = ValueError("from the body")
    with pytest.raises(ValueError, match="from the body") as caught, enter_in_loop(manager):
        raise error

    assert caught.value is error
    assert manager.errors == [error]


@pytest.mark.parametrize("error", [StopIteration(1), StopAsyncIteration(), GeneratorExit()])
def test_any_exception_of_the_body_is_raised(error: BaseException) -> None:
    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        yield

    for each in (manager(), AsyncManager()):
        with pytest.raises(type(error)) as caught, enter_in_loop(each):
            raise error
        assert caught.value is error


def test_an_async_manager_may_suppress_an_exception() -> None:
    with enter_in_loop(AsyncManager(suppress=True)):
        raise ValueError


def test_an_async_manager_may_raise_another_exception() -> None:
    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        try:
            yield
        except ValueError as error:
            raise KeyError("another") from error

    with pytest.raises(KeyError, match="another") as caught, enter_in_loop(manager()):
        raise ValueError("the first")
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_async_manager_may_raise_the_exception_of_the_body_itself() -> None:
    class Raises:
        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
            assert error is not None
            raise error

    error = ValueError("of the body")
    with pytest.raises(ValueError, match="of the body") as caught, enter_in_loop(Raises()):
        raise error

    assert caught.value is error
    assert [entry.name for entry in caught.traceback] == [
        "test_an_async_manager_may_raise_the_exception_of_the_body_itself"
    ], "its traceback has grown"


def test_an_exception_of_an_async_enter_is_raised() -> None:
    with pytest.raises(ValueError, match="no"), enter_in_loop(AsyncManager(error=ValueError("no"))):
        raise AssertionError("not entered")


def test_sync_code_of_an_async_manager_runs_on_the_calling_thread() -> None:
    threads = []

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        threads.append(await sync_to_async(here)())
        yield
        threads.append(await sync_to_async(here)())

    with enter_in_loop(manager()):
        pass

    assert threads == [here(), here()]


class Client:
    """A client whose own task answers requests, with sync code on the thread that entered it."""

    async def __aenter__(self) -> Client:
        self.requests: asyncio.Queue[asyncio.Future[threading.Thread]] = asyncio.Queue()
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.reader.cancel()

    async def _read(self) -> None:
        while True:
            answer = await self.requests.get()
            answer.set_result(await sync_to_async(here)())

    async def request(self) -> threading.Thread:
        answer: asyncio.Future[threading.Thread] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(DEADLINE_S):
            await self.requests.put(answer)
            return await answer


def test_a_task_of_an_async_manager_calls_sync_code_while_the_body_waits() -> None:
    with enter_in_loop(Client()) as outer, enter_in_loop(Client()) as inner:
        for client in (outer, inner, outer):
            assert async_to_sync(client.request)() is here()


@pytest.mark.parametrize("thread_sensitive", [True, False])
async def test_the_body_may_wait_in_asgirefs_helper(thread_sensitive: bool) -> None:
    """Whose executor does not know the paused one of the manager."""

    def body() -> None:
        with enter_in_loop(Client()) as outer, enter_in_loop(Client()) as inner:
            for client in (outer, inner, outer):
                assert asgiref.sync.async_to_sync(client.request)() is here()

    await sync_to_async(body, thread_sensitive=thread_sensitive)()


def test_sync_code_called_by_a_task_of_an_async_manager_runs_before_the_exit() -> None:
    ran_on = []

    async def call() -> None:
        ran_on.append(await sync_to_async(here)())

    class Manager(AsyncManager):
        async def __aenter__(self) -> Any:
            self.task = asyncio.create_task(call())
            return await super().__aenter__()

        async def __aexit__(self, *exc_info: object) -> Any:
            await asyncio.wait_for(self.task, DEADLINE_S)
            return await super().__aexit__(*exc_info)

    with enter_in_loop(Manager()):
        pass

    assert ran_on == [here()]


def in_asgirefs_context(main: Any) -> Any:
    async def inside() -> Any:
        async with asgiref.sync.ThreadSensitiveContext():
            return await main()

    return asyncio.run(inside())


def on_a_server_thread(main: Any) -> Any:
    """In an ASGI app behind ``to_wsgi``."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        found.append(await main())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    adapter = bridge.AsgiToWsgi(app)
    try:
        call(adapter, environ_of())
    finally:
        adapter.close()
    return found[0]


@pytest.mark.parametrize(
    "outer",
    [
        pytest.param(lambda main: async_to_sync(main)(), id="bridge"),
        pytest.param(lambda main: asgiref.sync.async_to_sync(main)(), id="asgiref"),
        pytest.param(lambda main: asyncio.run(main()), id="single-thread"),
        pytest.param(in_asgirefs_context, id="context"),
        pytest.param(on_a_server_thread, id="server-thread"),
    ],
)
@pytest.mark.parametrize("helper", [sync_to_async, asgiref.sync.sync_to_async])
def test_a_task_of_a_manager_calls_sync_code_while_the_thread_is_free(
    outer: Any, helper: Any
) -> None:
    """The manager is entered by one call of sync code and exited by another."""
    threads: list[threading.Thread] = []

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[None]]]:
        is_entered = asyncio.Event()

        async def task() -> None:
            await is_entered.wait()
            threads.append(await helper(here)())

        yield is_entered, asyncio.create_task(task())

    async def main() -> None:
        threads.append(await helper(here)())
        entered = enter_in_loop(manager())
        is_entered, task = await helper(entered.__enter__)()
        is_entered.set()
        await asyncio.wait_for(task, DEADLINE_S)
        await helper(entered.__exit__)(None, None, None)

    # In a context of its own: with asgiref 3.8, all that copy it share the data of a Local.
    contextvars.copy_context().run(outer, main)

    assert threads[0] is threads[1]


def test_the_body_sees_context_variables_of_an_async_manager() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        variable.set("set by the manager")
        yield

    with enter_in_loop(manager()):
        assert variable.get() == "set by the manager"


@contextlib.asynccontextmanager
async def bound_in_loop(
    variable: contextvars.ContextVar[str], value: str, seen: list[str]
) -> AsyncIterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        seen.append(variable.get())
        variable.reset(token)


def test_an_async_manager_may_reset_variables_that_it_set() -> None:
    contextvars.copy_context().run(_set_and_reset)


def _set_and_reset() -> None:
    new = contextvars.ContextVar[str]("new")
    old = contextvars.ContextVar[str]("old")
    of_the_body = contextvars.ContextVar[str]("of_the_body")
    old.set("before")
    of_the_body.set("before")
    seen: list[str] = []

    with (
        enter_in_loop(bound_in_loop(new, "inside", seen)),
        enter_in_loop(bound_in_loop(old, "inside", seen)),
    ):
        assert (new.get(), old.get()) == ("inside", "inside")
        old.set("set by the body")
        of_the_body.set("inside")

    assert new not in contextvars.copy_context()
    assert (old.get(), of_the_body.get()) == ("before", "inside")
    assert seen == ["set by the body", "inside"]


async def test_on_a_running_loop_an_async_manager_is_refused() -> None:
    with pytest.raises(DeadlockError), enter_in_loop(AsyncManager()):
        pass


class Reader:
    """An async manager whose task runs sync code on request."""

    def __init__(self, job: Callable[[], object]) -> None:
        self.job = job

    async def __aenter__(self) -> Reader:
        self.loop = asyncio.get_running_loop()
        self.go = asyncio.Event()
        self.posted = threading.Event()
        self.done = asyncio.Event()
        self.ran_on: list[threading.Thread] = []
        self._task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        await self.go.wait()
        self.loop.call_soon(self.posted.set)  # in the next turn
        await sync_to_async(self._call)()
        self.done.set()

    def _call(self) -> None:
        self.ran_on.append(here())
        self.job()

    async def __aexit__(self, *exc_info: object) -> None:
        self.go.set()
        await self._task

    def post(self) -> None:
        """Called in the body before it waits for anything."""
        self.loop.call_soon_threadsafe(self.go.set)
        assert self.posted.wait(DEADLINE_S)

    async def read(self) -> None:
        self.go.set()
        await self.done.wait()


async def nothing() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def woken_only_by_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting threads do not poll."""
    monkeypatch.setattr(loop_task, "POLL_S", 3600.0)


def in_time(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "it never returns"


@pytest.mark.usefixtures("woken_only_by_jobs")
def test_jobs_of_paused_managers_run_after_a_job_that_waits_itself() -> None:
    def run() -> None:
        with (
            enter_in_loop(Reader(lambda: None)) as outer,
            enter_in_loop(Reader(async_to_sync(nothing))) as inner,
        ):

            async def both() -> None:
                await inner.read()
                await outer.read()

            inner.post()
            async_to_sync(both)()

    in_time(run)


@pytest.mark.usefixtures("woken_only_by_jobs")
def test_sync_code_of_a_manager_that_a_paused_managers_job_enters_runs() -> None:
    def run() -> None:
        late = enter_in_loop(Reader(lambda: None))
        entered: list[Reader] = []

        async def both(first: Reader) -> None:
            await first.read()
            await entered[0].read()

        with enter_in_loop(Reader(lambda: entered.append(late.__enter__()))) as first:
            first.post()
            async_to_sync(both)(first)
            late.__exit__(None, None, None)

    in_time(run)


async def test_a_paused_managers_job_runs_on_no_other_thread() -> None:
    pool = WorkerPool(2, name="two")
    reader = Reader(lambda: None)
    started, may_end = threading.Event(), threading.Event()
    inner: Any = enter_in_loop(Exiting(reader))

    def enter() -> threading.Thread:
        with enter_in_loop(reader):
            inner.__enter__()
            started.set()
            assert may_end.wait(DEADLINE_S)
            return here()

    def exit_inner() -> None:
        inner.__exit__(None, None, None)

    entering = asyncio.create_task(sync_to_async(enter, thread_sensitive=False, executor=pool)())
    await asyncio.to_thread(started.wait, DEADLINE_S)
    await sync_to_async(exit_inner, thread_sensitive=False, executor=pool)()
    may_end.set()

    assert reader.ran_on == [await entering]
    pool.shutdown()


class Exiting:
    """Lets the task of another manager continue at its exit, and gives it time to do so."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exc_info: object) -> None:
        self.reader.go.set()
        for _ in range(100):
            await asyncio.sleep(0.001)


def test_a_variable_that_a_cancelled_manager_has_reset_is_reset_for_the_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    ended = threading.Event()

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        token = variable.set("inner")
        try:
            async with asyncio.timeout(0):
                yield
        finally:
            variable.reset(token)
            ended.set()

    variable.set("outer")
    with pytest.raises(TimeoutError), enter_in_loop(manager()):
        assert ended.wait(DEADLINE_S)

    assert variable.get() == "outer"
