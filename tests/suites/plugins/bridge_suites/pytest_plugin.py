"""The crossing and the recording, as a plugin of pytest: ``-p bridge_suites.pytest_plugin``."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from _pytest.runner import pytest_runtest_protocol as run_protocol

from .clients import cross_client
from .recording import Recorder, finished_tests


class Recording:
    """Hooks for each test."""

    def __init__(self) -> None:
        self._recorder = Recorder()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        finished = finished_tests()
        items[:] = [item for item in items if item.nodeid not in finished]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Each test in a context of its own: a variable that one leaves behind fails no other."""
        self._recorder.begin(item.nodeid)
        copy_context().run(run_protocol, item, nextitem)
        self._recorder.end()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._recorder.failed()
        elif report.skipped:
            self._recorder.skipped()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recording(), "bridge-suites-recording")


cross_client()
