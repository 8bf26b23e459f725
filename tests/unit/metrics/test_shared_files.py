"""The files of several processes: they add up, and those of a process that has ended are buried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from bridge.metrics.catalogue import LOOP_LAG_S, LOOP_LATE_S, POOL_BACKLOG, POOL_REFUSED
from bridge.metrics.numbers import Numbers
from bridge.metrics.shared_files import SharedFiles
from tests.harness.scrapes import Scrape
from tests.harness.servers import ROOT

WORKER = """
import sys
from prometheus_client import Counter
from bridge.metrics.shared_files import SharedFiles
from pathlib import Path
from tests.unit.metrics.test_shared_files import numbers

Counter("sales", "Of the app itself").inc(3)
files = SharedFiles(Path(sys.argv[1]))
files.write(numbers(int(sys.argv[2])))
print("written", flush=True)
sys.stdin.read()
"""


def numbers(backlog: int) -> Numbers:
    found = Numbers()
    found.count(POOL_REFUSED, 10, "a")
    found.gauge(POOL_BACKLOG, backlog, "a")
    found.gauge(LOOP_LATE_S, backlog)
    found.observe(LOOP_LAG_S, [0.0001, 100.0])
    return found


@contextmanager
def worker(folder: Path, backlog: int, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that has written its numbers, and lives until the end of the block.

    :param before: is run before that, and prints a line when it waits for :func:`go_on`.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", before + WORKER, str(folder), str(backlog)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == ("locks\n" if before else "written\n")
        yield process
        process.kill()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a worker that waits write its numbers."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "written\n"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SharedFiles]:
    with closing(SharedFiles(tmp_path)) as made:
        yield made


def scrape(files: SharedFiles) -> Scrape:
    with files.turn():
        return Scrape(generate_latest(files.registry()).decode())


def test_processes_add_up(files: SharedFiles, tmp_path: Path) -> None:
    files.write(numbers(1))
    with worker(tmp_path, 2), worker(tmp_path, 4):
        found = scrape(files)

    assert found("bridge_pool_refused_total", pool="a") == 30
    assert found("bridge_pool_backlog", pool="a") == 7
    assert found("bridge_loop_late_seconds") == 4
    assert found("bridge_loop_lag_seconds_bucket", le="0.0005") == 3
    assert found("bridge_loop_lag_seconds_bucket", le="+Inf") == 6
    assert found("bridge_loop_lag_seconds_count") == 6
    assert found("sales_total") == 6


def test_a_killed_process_leaves_its_counts_and_no_gauges(
    files: SharedFiles, tmp_path: Path
) -> None:
    files.write(numbers(1))
    for _ in range(3):
        with worker(tmp_path, 2):
            scrape(files)
        after = scrape(files)

    assert after("bridge_pool_refused_total", pool="a") == 40
    assert after("bridge_pool_backlog", pool="a") == 1
    assert after("bridge_loop_late_seconds") == 1
    assert after("bridge_loop_lag_seconds_count") == 8
    assert after("sales_total") == 9


def test_no_file_of_a_killed_process_is_left(files: SharedFiles, tmp_path: Path) -> None:
    files.write(numbers(1))
    before = {path.name for path in tmp_path.iterdir()}
    for _ in range(3):
        with worker(tmp_path, 2):
            pass
        scrape(files)

    left = {path.name for path in tmp_path.iterdir()} - before
    assert left == {"counter_bridge-ended.db", "histogram_bridge-ended.db"}


def test_a_gauge_that_is_gone_is_zero(files: SharedFiles) -> None:
    files.write(numbers(1))
    files.write(Numbers())

    assert scrape(files)("bridge_pool_backlog", pool="a") == 0


def test_processes_that_end_leave_nothing_to_the_next_where_nobody_scrapes(
    files: SharedFiles, tmp_path: Path
) -> None:
    for _ in range(3):
        with worker(tmp_path, 2):
            pass
    files.write(numbers(1))

    left = {path.name for path in tmp_path.iterdir() if f"-{os.getpid()}-" not in path.name}
    assert left == {"bridge.turn", "counter_bridge-ended.db", "histogram_bridge-ended.db"}
    assert scrape(files)("bridge_pool_refused_total", pool="a") == 40


LOCKS_LATE = """
import fcntl, sys
lockf = fcntl.lockf

def late(*arguments):
    print("locks", flush=True)
    sys.stdin.readline()
    fcntl.lockf = lockf
    return lockf(*arguments)

fcntl.lockf = late
"""


def test_a_process_is_not_buried_before_it_holds_its_lock(
    files: SharedFiles, tmp_path: Path
) -> None:
    files.write(numbers(1))
    with worker(tmp_path, 2, LOCKS_LATE) as process:
        scrape(files)
        go_on(process)
        alive = scrape(files)
    after = scrape(files)

    assert alive("bridge_pool_backlog", pool="a") == 3
    assert alive("sales_total") == 3
    assert after("bridge_pool_backlog", pool="a") == 1


FORKS = """
import os, sys, threading
from pathlib import Path
from bridge.metrics.shared_files import SharedFiles
from tests.unit.metrics.test_shared_files import numbers

files = SharedFiles(Path(sys.argv[1]))
files.write(numbers(1))
scraping, ended = threading.Event(), threading.Event()

def scrape():
    with files.turn():
        scraping.set()
        ended.wait()

def scrape_in_child():
    files.write(numbers(1))
    with files.turn():
        os._exit(0)

threading.Thread(target=scrape).start()
scraping.wait()
child = os.fork()
if not child:
    threading.Thread(target=scrape_in_child, daemon=True).start()
    threading.Event().wait(30)
    os._exit(1)
ended.set()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_forked_during_a_scrape_answers_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False, timeout=60)
    assert done.returncode == 0
