"""The lifespans of several apps as one: started in order, shut down in reverse order.

Input: the apps, each with the label that messages use for it, and the server's ``state``. Output:
apps that have started, and what each has stored in its state; or
:class:`~bridge.errors.LifespanFailed`, which names the app. Runs on: one event loop.

Rule 1. An app starts once the app before it has started. If one fails, those that have started are
        shut down again, and the error is that of the first one that failed.
Rule 2. Every app has a separate state, which begins as a copy of the server's. What the app adds is
        only for its own requests.
Rule 3. If a shutdown fails, the other apps are still shut down. The first error is raised after the
        last of them, further errors are logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bridge._lifespan.runner import LifespanRunner
from bridge.config import ToWsgiOptions
from bridge.errors import LifespanFailed
from bridge.types import AsgiApp

__all__ = ["AppState", "Lifespans", "MountedApp"]

logger = logging.getLogger("bridge.lifespan")


class AppState:
    """What an app's lifespan has stored for the app's requests.

    :ivar namespace: the dict that the app fills, including the server's part.
    """

    __slots__ = ("_base", "namespace")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: the app does not run."""
        self.set({}, {})

    def set(self, namespace: dict[str, Any], base: dict[str, Any]) -> None:
        """The app has started.

        :param base: what ``namespace`` contained before.
        """
        self.namespace = namespace
        self._base = base

    def added(self) -> dict[str, Any]:
        """The part of ``namespace`` that is not the server's. It changes when the app changes it.

        :returns: a dict that the caller must not change.
        """
        base = self._base
        if not base:
            return self.namespace
        # A copy, because a thread of the app may write to it now.
        namespace, missing = self.namespace.copy(), object()
        return {
            key: value for key, value in namespace.items() if base.get(key, missing) is not value
        }


@dataclass(frozen=True, eq=False)
class MountedApp:
    """One of the apps that share a lifespan.

    :ivar label: the name of the app in messages, such as ``the app mounted at '/api'``.
    :ivar options: its mode and timeouts.
    :ivar asgi_only: a WSGI server calls it as WSGI or not at all, and needs no lifespan for it.
    :ivar needs_start: it has to start before its first request, also where no server sends a
        lifespan.
    :ivar state: for its requests.
    """

    app: AsgiApp
    label: str
    options: ToWsgiOptions
    asgi_only: bool = False
    needs_start: bool = True
    state: AppState = field(default_factory=AppState)


class Lifespans:
    """Runs the lifespans of several apps. All methods belong to one event loop at a time.

    :ivar starting: the app whose startup runs now, if any.
    """

    def __init__(self) -> None:
        self.starting: MountedApp | None = None
        self._started: list[tuple[MountedApp, LifespanRunner]] = []

    async def start(
        self,
        apps: Iterable[MountedApp],
        state: dict[str, Any] | None,
        *,
        shares_state: bool = False,
        loop_is_ending: Callable[[], bool] | None = None,
    ) -> None:
        """Start the apps, one after the other.

        :param state: the server's, which it copies into each scope; None if it has none.
        :param shares_state: the apps fill the server's state itself: at most one of them does.
        :param loop_is_ending: see :class:`~bridge._lifespan.runner.LifespanRunner`.
        :raises LifespanFailed: an app did not start. The others are shut down again.
        """
        try:
            for app in apps:
                self.starting = app
                await self._start(app, state, shares_state, loop_is_ending)
        except BaseException:
            await self._stop_after_error()
            raise
        finally:
            self.starting = None

    async def _start(
        self,
        app: MountedApp,
        state: dict[str, Any] | None,
        shares_state: bool,
        loop_is_ending: Callable[[], bool] | None,
    ) -> None:
        base = state or {}
        namespace = state if shares_state and state is not None else dict(base)
        runner = LifespanRunner(
            app.app,
            app.options.lifespan,
            startup_timeout_s=app.options.startup_timeout_s,
            state=namespace,
            loop_is_ending=loop_is_ending,
        )
        try:
            await runner.startup()
        except LifespanFailed as error:
            raise _labelled(error, app) from error.__cause__
        self._started.append((app, runner))
        if namespace is not state:
            app.state.set(namespace, dict(base))

    async def stop(self) -> None:
        """Shut down the apps that have started, in reverse order.

        :raises LifespanFailed: a shutdown failed, or took too long. All shutdowns are over.
        """
        errors: list[LifespanFailed] = []
        while self._started:
            app, runner = self._started.pop()
            try:
                await runner.shutdown(app.options.shutdown_timeout_s)
            except LifespanFailed as error:
                labelled = _labelled(error, app)
                labelled.__cause__ = error.__cause__
                errors.append(labelled)
            finally:
                app.state.clear()
        for later in errors[1:]:
            logger.error("%s", later, exc_info=later.__cause__)
        if errors:
            raise errors[0]

    async def cancel(self) -> None:
        """Cancel the apps that have started, in reverse order, without a shutdown."""
        while self._started:
            app, runner = self._started.pop()
            await runner.cancel()
            app.state.clear()

    async def _stop_after_error(self) -> None:
        try:
            await self.stop()
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)


def _labelled(error: LifespanFailed, app: MountedApp) -> LifespanFailed:
    return LifespanFailed(f"{app.label}: {error}")
