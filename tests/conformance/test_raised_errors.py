"""What an app raises arrives on the other side as itself, also behind both adapters.

The same object, with its notes, its cause and context, and its traceback. The exceptions that would
end an event loop, or mislead the code that awaits the app, are the cause of another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from traceback import walk_tb
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import bridge
from bridge.types import AsgiApp, Environ, StartResponse
from tests.harness.asgi import call, http_scope


class Abandon(BaseException):
    """Not an Exception, and no end of the loop: as gevent's Timeout."""


_adapters: list[bridge.AsgiToWsgi] = []


@pytest.fixture(autouse=True)
def _close_adapters() -> Iterator[None]:
    yield
    while _adapters:
        _adapters.pop().close()


def double(app: AsgiApp) -> AsgiApp:
    adapter = bridge.AsgiToWsgi(app)
    _adapters.append(adapter)
    return bridge.WsgiToAsgi(adapter)


def wsgi_that_raises(error: BaseException) -> AsgiApp:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    return bridge.to_asgi(app)


def asgi_that_raises(error: BaseException) -> AsgiApp:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise error

    return double(app)


behind = pytest.mark.parametrize("behind", [wsgi_that_raises, asgi_that_raises])


def group() -> BaseException:
    return BaseExceptionGroup("tasks", [asyncio.CancelledError(), Abandon("tide")])


@behind
@pytest.mark.parametrize(
    "make",
    [
        group,
        lambda: Abandon("tide"),
        lambda: ExceptionGroup("tasks", [KeyError("a"), OSError(2, "no file")]),
        lambda: FileNotFoundError(2, "no file"),
    ],
)
def test_an_error_arrives_as_itself(
    behind: Callable[[BaseException], AsgiApp], make: Callable[[], BaseException]
) -> None:
    error = make()
    error.__cause__ = cause = KeyError("cause")
    error.__context__ = context = KeyError("context")
    error.add_note("seen at high tide")

    with pytest.raises(type(error)) as caught:
        call(behind(error), http_scope())

    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert error.__notes__ == ["seen at high tide"]
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    assert __file__ in frames[1:], "the frame of the app"


@behind
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_an_error_that_would_end_or_mislead_the_loop_is_a_cause(
    behind: Callable[[BaseException], AsgiApp], kind: type[BaseException]
) -> None:
    error = kind()

    with pytest.raises(bridge.AppProtocolError) as caught:
        call(behind(error), http_scope())

    causes: list[BaseException | None] = [caught.value.__cause__]
    assert error in [*causes, getattr(causes[0], "__cause__", None)]


# -- FastAPI and anyio -----------------------------------------------------------------------------

fastapi_app = FastAPI()


async def abandon() -> None:
    await asyncio.sleep(0)
    raise Abandon("tide")


@fastapi_app.get("/endpoint")
async def endpoint() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(abandon)
        await anyio.sleep(10)


@fastapi_app.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> Any:
        yield b"first"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(abandon)
            await anyio.sleep(10)

    return StreamingResponse(chunks())


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


@pytest.mark.parametrize("path", ["/endpoint", "/stream"])
def test_what_a_task_group_raises_in_fastapi_arrives_as_a_group(path: str) -> None:
    raised: list[BaseException] = []
    for app in (fastapi_app, double(fastapi_app)):
        with pytest.raises(BaseExceptionGroup) as caught:
            call(app, http_scope(path=path))
        raised.append(caught.value)

    native, ours = raised
    assert (str(ours), len(leaves(ours))) == (str(native), len(leaves(native)))
    assert {type(leaf) for leaf in leaves(ours)} == {Abandon}
