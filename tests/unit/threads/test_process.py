"""The stages after a fork and at the exit of the interpreter, in subprocesses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TIMEOUT_S = 60

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

SETUP = """
import os
from functools import partial
from bridge._threads import process
from bridge._threads.process import Exit, Fork

def show(*words):
    print(*words, flush=True)
"""

FORK = """
def fork(work=lambda: None):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


def run(*code: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a new interpreter, which must exit with 0."""
    command = [sys.executable, "-c", "\n".join((SETUP, *code))]
    done = subprocess.run(command, timeout=TIMEOUT_S, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def output(*code: str) -> list[str]:
    """The lines that a script prints. It must print nothing on stderr."""
    done = run(*code)
    assert done.stderr == ""
    return done.stdout.splitlines()


# -- forks -----------------------------------------------------------------------------------------


@needs_fork
def test_a_forked_child_runs_the_stages_in_order_and_once() -> None:
    lines = output(
        FORK,
        "for stage in reversed(Fork):",
        "    process.in_child(stage, partial(show, stage.name))",
        "fork(lambda: show('child'))",
        "show('parent')",
    )

    assert lines == [
        *("POOLS", "LOOPS", "CALLS", "ADAPTERS", "LIFESPANS", "ROUTERS", "CONTROL", "METRICS"),
        "child",
        "parent",
    ]


@needs_fork
def test_callbacks_of_one_stage_run_in_the_order_of_registration() -> None:
    lines = output(
        FORK,
        "for number in range(3):",
        "    process.in_child(Fork.CALLS, partial(show, number))",
        "fork()",
    )

    assert lines == ["0", "1", "2"]


@needs_fork
def test_every_fork_runs_the_stages_again_also_in_a_child() -> None:
    lines = output(
        FORK,
        "process.in_child(Fork.POOLS, partial(show, 'renewed'))",
        "fork(fork)",
        "fork()",
    )

    assert lines == ["renewed"] * 3


@needs_fork
def test_the_pid_is_the_childs_before_the_first_stage_runs() -> None:
    lines = output(
        FORK,
        "parent = os.getpid()",
        "assert process.pid == parent",
        "process.in_child(Fork.POOLS, lambda: show(process.pid == os.getpid() != parent))",
        "fork()",
        "show(process.pid == parent)",
    )

    assert lines == ["True", "True"]


# -- exit ------------------------------------------------------------------------------------------

REGISTER_ALL = """
for stage in reversed(Exit):
    process.at_exit(stage, partial(show, stage.name))
"""


def test_the_exit_runs_the_stages_in_order_and_once() -> None:
    lines = output(REGISTER_ALL, "show('last line')")

    assert lines == [
        "last line",
        "REQUESTS",
        "LIFESPANS",
        "APPS",
        "METRICS",
        "KEPT_LOOP",
        "POOLS",
        "CONTROL",
    ]


def test_an_exit_by_sys_exit_runs_the_stages() -> None:
    lines = output(REGISTER_ALL, "raise SystemExit(0)")

    assert lines == ["REQUESTS", "LIFESPANS", "APPS", "METRICS", "KEPT_LOOP", "POOLS", "CONTROL"]


@pytest.mark.skipif(
    sys.version_info[:3] in ((3, 12, 0), (3, 12, 1)),
    reason="these versions start no thread at exit (python/cpython#113964)",
)
def test_the_first_four_stages_can_use_threads() -> None:
    """Later, executors refuse jobs: the interpreter has begun to end."""
    lines = output(
        "from concurrent.futures import ThreadPoolExecutor",
        "def try_a_thread(stage):",
        "    try:",
        "        show(stage.name, ThreadPoolExecutor(1).submit(int).result(10))",
        "    except RuntimeError as error:",
        "        show(stage.name, 'refused')",
        "for stage in Exit:",
        "    process.at_exit(stage, partial(try_a_thread, stage))",
    )

    assert lines == [
        "REQUESTS 0",
        "LIFESPANS 0",
        "APPS 0",
        "METRICS 0",
        *("KEPT_LOOP refused", "POOLS refused", "CONTROL refused"),
    ]


def test_registering_twice_changes_nothing() -> None:
    lines = output(
        "import threading",
        "callback = partial(show, 'stopped')",
        "process.at_exit(Exit.APPS, callback)",
        "process.at_exit(Exit.POOLS, callback)",
        "before = len(threading._threading_atexits)",
        "process.at_exit(Exit.APPS, callback)",
        "process.at_exit(Exit.POOLS, callback)",
        "show(len(threading._threading_atexits) - before, 'more callbacks')",
    )

    assert lines == ["0 more callbacks", "stopped", "stopped"]


def test_a_failing_stage_is_logged_and_the_others_run() -> None:
    done = run(
        REGISTER_ALL,
        "def fail():",
        "    raise ValueError('no')",
        "process.at_exit(Exit.LIFESPANS, fail)",
        "process.at_exit(Exit.KEPT_LOOP, fail)",
    )

    assert done.stdout.splitlines() == ["REQUESTS", "APPS", "METRICS", "POOLS", "CONTROL"]
    assert "stopping LIFESPANS at exit failed" in done.stderr
    assert "stopping KEPT_LOOP at exit failed" in done.stderr
    assert done.stderr.count("ValueError: no") == 2


def test_a_stage_registered_during_the_exit_of_threads_runs_with_atexit() -> None:
    """A thread that still runs may be the first to need the stage."""
    lines = output(
        "import threading",
        "def register():",
        "    threading.main_thread().join()",
        "    process.at_exit(Exit.APPS, partial(show, 'APPS'))",
        "threading.Thread(target=register).start()",
    )

    assert lines == ["APPS"]
