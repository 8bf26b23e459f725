"""Django's own test runner, with the crossing and the recording: for ``python -m``.

Started in the folder of Django's ``runtests.py``, with the same arguments. Django's tests are
unittest's, without a timeout: one that hangs ends the process.
"""

from __future__ import annotations

import faulthandler
import functools
import runpy
import unittest
from typing import Any

from .clients import cross_client
from .recording import Recorder, finished_tests

TEST_TIMEOUT_S = 60


def record() -> None:
    """Record the outcome of each test, and leave out those that have been run."""
    recorder, finished = Recorder(), finished_tests()

    def before(method: str, action: Any) -> None:
        original = getattr(unittest.TestResult, method)

        @functools.wraps(original)
        def wrapped(self: Any, test: Any, *arguments: Any) -> Any:
            action(test, *arguments)
            return original(self, test, *arguments)

        setattr(unittest.TestResult, method, wrapped)

    def start(test: Any) -> None:
        faulthandler.dump_traceback_later(TEST_TIMEOUT_S, exit=True)
        recorder.begin(test.id())

    def end_subtest(error: Any) -> None:
        if error is not None:
            recorder.failed()

    def stop(test: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        recorder.end()

    before("startTest", start)
    before("stopTest", stop)
    before("addError", lambda test, error: recorder.failed())
    before("addFailure", lambda test, error: recorder.failed())
    before("addSubTest", lambda test, subtest, error: end_subtest(error))
    before("addSkip", lambda test, reason: recorder.skipped())
    before("addExpectedFailure", lambda test, error: recorder.skipped())
    before("addUnexpectedSuccess", lambda test: recorder.failed())

    run = unittest.TestCase.run

    @functools.wraps(run)
    def run_once(self: Any, result: Any = None) -> Any:
        return None if self.id() in finished else run(self, result)

    unittest.TestCase.run = run_once  # type: ignore[method-assign]


if __name__ == "__main__":
    record()
    cross_client()
    runpy.run_path("runtests.py", run_name="__main__")
