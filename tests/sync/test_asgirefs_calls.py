"""asgiref's own helpers on threads of bridge, where its ``async_to_sync`` uses the calling loop."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context, ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import asgiref.sync
import pytest

import bridge
from bridge.types import Environ, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.harness.asgi import call_async, http_scope

DEADLINE_S = 30


async def on_a_pool(view: Callable[[], None]) -> None:
    await bridge.sync_to_async(view, thread_sensitive=False)()


async def on_the_sensitive_thread(view: Callable[[], None]) -> None:
    await bridge.sync_to_async(view)()


async def in_a_wsgi_app(view: Callable[[], None]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        view()
        start_response("200 OK", PLAIN)
        return [b"ok"]

    assert (await call_async(bridge.to_asgi(app), http_scope())).status == 200


threads = pytest.mark.parametrize("thread", [on_a_pool, on_the_sensitive_thread, in_a_wsgi_app])


# -- a task that dies before the call begins -------------------------------------------------------


def call_asgiref(begun: list[str], errors: list[BaseException]) -> None:
    """A view that calls async code."""

    class Awaitable:
        def __await__(self) -> Generator[None, None, None]:
            begun.append("begun")
            yield

    def begin() -> Awaitable:
        return Awaitable()  # not a coroutine, which warns if it is never awaited

    try:
        asgiref.sync.async_to_sync(asgiref.sync.markcoroutinefunction(begin))()
    except BaseException as error:
        errors.append(error)


@threads
async def test_asgirefs_call_ends_if_its_task_is_cancelled_before_it_begins(
    thread: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
) -> None:
    """Servers cancel all tasks at shutdown. asgiref alone waits forever, and the thread is lost."""
    begun: list[str] = []
    errors: list[BaseException] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if coroutine.__qualname__ == "AsyncToSync.main_wrap":
            task.cancel()
        return task

    asyncio.get_running_loop().set_task_factory(factory)
    async with asyncio.timeout(DEADLINE_S):
        await thread(partial(call_asgiref, begun, errors))

    assert [type(error) for error in errors] == [asyncio.CancelledError]
    assert begun == []


@threads
async def test_asgirefs_call_fails_if_its_first_step_does(
    thread: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []
    errors: list[BaseException] = []
    failure = ValueError("cannot restore the context")

    def fail_on_the_loop(context: Context) -> None:
        if asyncio._get_running_loop() is not None:
            raise failure

    asyncio.get_running_loop().set_exception_handler(lambda loop, details: None)
    monkeypatch.setattr(asgiref.sync, "_restore_context", fail_on_the_loop)
    async with asyncio.timeout(DEADLINE_S):
        await thread(partial(call_asgiref, begun, errors))

    assert errors == [failure]
    assert begun == []


# -- values of context variables -------------------------------------------------------------------


class Lazy:
    """Like Django's SimpleLazyObject: evaluated by a comparison, and by a look at its class."""

    @property  # type: ignore[misc]  # not writable
    def __class__(self) -> Any:
        raise RuntimeError("evaluated")

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("evaluated")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("evaluated")

    __hash__ = object.__hash__


lazy: ContextVar[Lazy] = ContextVar("lazy")


@threads
@pytest.mark.parametrize("helpers", [bridge, asgiref.sync], ids=["bridge", "asgiref"])
async def test_no_helper_evaluates_the_values_of_variables(
    thread: Callable[[Callable[[], None]], Coroutine[Any, Any, None]], helpers: Any
) -> None:
    """asgiref does, on the event loop."""
    value = Lazy()
    seen: list[Lazy] = []

    async def outer() -> None:
        seen.append(lazy.get())
        await helpers.sync_to_async(lambda: seen.append(lazy.get()))()
        seen.append(lazy.get())

    def view() -> None:
        lazy.set(value)
        helpers.async_to_sync(outer)()
        seen.append(lazy.get())

    async with asyncio.timeout(DEADLINE_S):
        await thread(view)

    assert [each is value for each in seen] == [True] * 4


# -- versions of asgiref that do not exist yet -----------------------------------------------------

CALLS_BOTH = """
import asyncio
from contextvars import ContextVar

import asgiref.sync
import bridge

seen = ContextVar("seen", default=())


async def inner(name):
    seen.set((*seen.get(), name))


def view():
    asgiref.sync.async_to_sync(inner)("asgiref")
    bridge.async_to_sync(inner)("bridge")
    return " ".join(seen.get())


async def main():
    print(await asyncio.wait_for(asgiref.sync.sync_to_async(view)(), 30))
    seen.set(())  # wait_for() makes no task since Python 3.12
    print(await asyncio.wait_for(bridge.sync_to_async(view)(), 30))


asyncio.run(main())
"""

RENAMED = [("main_wrap", "wrap_call"), ("_restore_context", "_copy_context_back")]
OTHER_ARGUMENTS = [
    (r"def main_wrap\(\s+self,", "def main_wrap(self, name: str,"),
    (r"self\.main_wrap\(", "self.main_wrap('name', "),
    (r"(?<=def )_restore_context\(", "_restore_context(thread: None, "),
    (r"(?<!def )_restore_context\(", "_restore_context(None, "),
]


@pytest.mark.parametrize("changes", [RENAMED, OTHER_ARGUMENTS], ids=["renamed", "arguments"])
def test_an_asgiref_whose_private_functions_differ_works(
    changes: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Two of them are replaced. Another version may lack them, or call them differently."""
    package = tmp_path / "asgiref"
    shutil.copytree(Path(asgiref.sync.__file__).parent, package)
    source = (package / "sync.py").read_text()
    for old, new in changes:
        source, count = re.subn(old, new, source)
        assert count
    (package / "sync.py").write_text(source)

    done = subprocess.run(
        [sys.executable, "-c", CALLS_BOTH],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 3,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )

    assert done.stderr == ""
    assert done.stdout.split("\n") == ["asgiref bridge", "asgiref bridge", ""]
