"""The startup and shutdown of one app, with every answer that an app can give, or not give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

import bridge
from bridge._lifespan.runner import LifespanRunner
from bridge.errors import AppProtocolError, LifespanFailed
from bridge.types import AsgiApp, Receive, Scope, Send

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


def lifespan_app(body: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsgiApp:
    """An app that is only its lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await body(scope, receive, send)

    return app


def runner_of(app: AsgiApp, mode: Any = "auto", *, startup_timeout_s: float = 15) -> LifespanRunner:
    return LifespanRunner(app, mode, startup_timeout_s=startup_timeout_s)


@lifespan_app
async def well_behaved(scope: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "lifespan.startup"}
    scope["state"]["pool"] = "open"
    await send(STARTED)
    assert await receive() == {"type": "lifespan.shutdown"}
    scope["state"]["pool"] = "closed"
    await send(STOPPED)


async def run_well_behaved(mode: Any) -> LifespanRunner:
    runner = runner_of(well_behaved, mode)
    await runner.startup()
    assert runner.state == {"pool": "open"}
    await runner.shutdown(15)
    return runner


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_an_app_starts_fills_its_state_and_shuts_down(mode: Any) -> None:
    assert asyncio.run(run_well_behaved(mode)).state == {"pool": "closed"}


def test_off_never_calls_the_app() -> None:
    async def run() -> None:
        runner = runner_of(None, "off")  # type: ignore[arg-type]  # must not be used
        await runner.startup()
        await runner.shutdown(15)

    asyncio.run(run())


def test_shutting_down_twice_or_before_the_start_does_nothing() -> None:
    async def run() -> None:
        runner = runner_of(well_behaved)
        await runner.shutdown(15)
        await runner.startup()
        await runner.shutdown(15)
        await runner.shutdown(15)

    asyncio.run(run())


def test_startup_and_shutdown_are_one_task() -> None:
    """anyio refuses to exit a cancel scope in another task than the one that entered it."""

    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group():
            await send(STARTED)
            await receive()
        await send(STOPPED)

    async def run() -> None:
        runner = runner_of(app)
        await asyncio.create_task(runner.startup())
        await asyncio.create_task(runner.shutdown(15))

    asyncio.run(run())


# -- apps without a lifespan -----------------------------------------------------------------------


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200})


@pytest.mark.parametrize("app", [refuses, returns, hello])
def test_auto_accepts_an_app_without_a_lifespan(
    app: AsgiApp, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        runner = runner_of(app)
        await runner.startup()
        await runner.shutdown(15)

    asyncio.run(run())

    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize(
    ("app", "cause"), [(refuses, AssertionError), (returns, None), (hello, AppProtocolError)]
)
def test_on_rejects_an_app_without_a_lifespan(app: AsgiApp, cause: type[Exception] | None) -> None:
    with pytest.raises(LifespanFailed, match=f"startup of .*{app.__qualname__} failed") as caught:
        asyncio.run(runner_of(app, "on").startup())

    assert isinstance(caught.value.__cause__, cause or type(None))


def answers_every_scope_as_http(react: Callable[[Receive, Send], Awaitable[None]]) -> AsgiApp:
    """An app that ignores ``scope["type"]``, with what it does once ``send`` has raised."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except AppProtocolError:
            await react(receive, send)

    return app


async def waits_for_a_disconnect(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answers_500(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": []})


async def raises_another_error(receive: Receive, send: Send) -> None:
    raise RuntimeError("cannot send")


REACTIONS = [waits_for_a_disconnect, answers_500, raises_another_error]


@pytest.mark.parametrize("react", REACTIONS)
def test_auto_takes_an_http_message_as_having_no_lifespan(
    react: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge.lifespan")

    async def run() -> None:
        runner = runner_of(answers_every_scope_as_http(react), startup_timeout_s=15)
        await runner.startup()
        assert len(asyncio.all_tasks()) == 1, "the app still runs"
        await runner.shutdown(15)

    asyncio.run(run())

    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "has no lifespan" in record.getMessage()
    assert "http.response.start" in record.getMessage()


def test_a_websocket_message_from_another_task_has_the_same_meaning() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(
            send({"type": "websocket.accept"}), asyncio.Event().wait(), return_exceptions=True
        )

    asyncio.run(runner_of(app).startup())


@pytest.mark.parametrize("react", REACTIONS)
def test_on_rejects_an_http_message_and_names_it(react: Any) -> None:
    with pytest.raises(LifespanFailed, match=r"http\.response\.start when the app is starting up"):
        asyncio.run(runner_of(answers_every_scope_as_http(react), "on").startup())


def test_auto_warns_if_the_app_raises_on_startup(caplog: pytest.LogCaptureFixture) -> None:
    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise OSError("no database")

    asyncio.run(runner_of(app).startup())

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'Pass lifespan="on"' in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OSError)


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_failed_startup_names_the_app_and_the_reason(mode: Any) -> None:
    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise OSError("refused")

    with pytest.raises(LifespanFailed, match=r"startup of .*lifespan_app.* no database") as caught:
        asyncio.run(runner_of(app, mode).startup())

    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_framework_that_fails_to_start_is_an_error(mode: Any) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    with pytest.raises(LifespanFailed, match=r"FastAPI failed: OSError: no database$") as caught:
        asyncio.run(runner_of(FastAPI(lifespan=lifespan), mode).startup())

    assert isinstance(caught.value.__cause__, OSError)


def test_the_reason_of_a_router_names_the_app_in_it() -> None:
    """A Router sends its own words before the traceback, and raises the app's exception."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    app = bridge.Router({"/api": FastAPI(lifespan=lifespan)})
    reason = (
        r"Router failed: the app mounted at '/api': startup of .* failed: OSError: no database$"
    )
    with pytest.raises(LifespanFailed, match=reason):
        asyncio.run(runner_of(app).startup())


def test_the_reason_of_an_exception_group_is_its_message() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise ExceptionGroup("no services", [OSError("no database")])
        yield

    with pytest.raises(LifespanFailed, match=r"FastAPI failed: ExceptionGroup: no services \("):
        asyncio.run(runner_of(FastAPI(lifespan=lifespan)).startup())


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_startup_that_takes_too_long_names_the_app_and_the_option(mode: Any) -> None:
    cancelled = []

    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(LifespanFailed, match=r"startup of .*longer than startup_timeout_s=0\.01"):
        asyncio.run(runner_of(app, mode, startup_timeout_s=0.01).startup())

    assert cancelled


def test_a_cancelled_startup_cancels_the_app() -> None:
    waiting = asyncio.Event()
    cancelled = []

    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def run() -> None:
        starting = asyncio.create_task(runner_of(app).startup())
        await waiting.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(run())

    assert cancelled


async def fail_to_shut_down(
    react: Callable[[Send], Awaitable[None]], timeout_s: float = 15
) -> None:
    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await receive()
        await react(send)

    runner = runner_of(app)
    await runner.startup()
    await runner.shutdown(timeout_s)


def test_a_failed_shutdown_is_raised() -> None:
    async def reports_it(send: Send) -> None:
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    with pytest.raises(LifespanFailed, match=r"shutdown of .* failed: still busy"):
        asyncio.run(fail_to_shut_down(reports_it))


def test_an_error_in_shutdown_is_raised() -> None:
    async def breaks(send: Send) -> None:
        raise OSError("broken")

    with pytest.raises(LifespanFailed, match=r"shutdown of .* failed: OSError: broken"):
        asyncio.run(fail_to_shut_down(breaks))


def test_a_shutdown_that_takes_too_long_is_raised() -> None:
    async def sleeps(send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(LifespanFailed, match=r"shutdown of .* took longer than 0\.01 s"):
        asyncio.run(fail_to_shut_down(sleeps, 0.01))


def test_system_exit_does_not_end_the_loop() -> None:
    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise SystemExit(3)

    with pytest.raises(LifespanFailed, match="SystemExit: 3"):
        asyncio.run(runner_of(app, "on").startup())


def test_an_error_while_running_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await asyncio.sleep(0)
        raise OSError("broken")

    async def run() -> None:
        runner = runner_of(app)
        await runner.startup()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        await runner.shutdown(15)

    asyncio.run(run())

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the lifespan of" in record.getMessage()


def test_a_second_answer_is_an_error() -> None:
    refused: list[str] = []

    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        try:
            await send(STARTED)
        except AppProtocolError as error:
            refused.append(str(error))

    asyncio.run(runner_of(app).startup())

    assert "when the app is running" in refused[0]


def test_a_failure_while_running_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Starlette sends ``lifespan.shutdown.failed`` when its lifespan ends too early."""

    @lifespan_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await asyncio.sleep(0)
        await send({"type": "lifespan.shutdown.failed", "message": "the queue has crashed"})

    async def run() -> None:
        runner = runner_of(app)
        await runner.startup()
        async with asyncio.timeout(15):
            while not caplog.records:
                await asyncio.sleep(0)
        await runner.shutdown(15)

    asyncio.run(run())

    assert [record.getMessage() for record in caplog.records] == [
        f"the lifespan of {__name__}.lifespan_app.<locals>.app failed: the queue has crashed"
    ]
