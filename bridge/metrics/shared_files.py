"""The numbers of several worker processes, in the files of prometheus-client's multiprocess mode.

A collector cannot answer for other processes. So each process writes its numbers, once a second, to
files in ``PROMETHEUS_MULTIPROC_DIR``, and a scrape of any of them adds up all files. They are files
like those that prometheus-client writes for the app's own metrics, and are read by its own
collector, the app's metrics included.

Rule 1. Each process has files of its own, named after its id and a random number. It holds a lock
        on one of them, of the kind that ends with the process and is not inherited in a fork.
Rule 2. A process that holds no lock has ended. Its gauges are removed; its counts are added to the
        file of all that have ended: at each scrape, and when a process begins. So neither a killed
        worker nor a thousand restarted ones leave anything behind, even where nobody scrapes. The
        same is done with the files of the app's own metrics.
Rule 3. Scrapes take turns, across processes: none sees counts twice, or not at all.

The layout of these files is prometheus-client's own, and not part of its interface. It is used here
and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, mmap_dict, multiprocess
from prometheus_client.utils import floatToGoString

from bridge._threads.locks import GreenletMutex
from bridge.metrics.catalogue import Metric
from bridge.metrics.collector import family_name
from bridge.metrics.numbers import Histogram, Numbers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["VARIABLE", "SharedFiles", "shared_directory"]

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_ValuesFile: Any = mmap_dict.MmapedDict  # without annotations, as the next
_SumOfFiles: Any = multiprocess.MultiProcessCollector

_ENDED = "bridge-ended"
"""The owner of the counts of all processes that have ended."""


def shared_directory() -> Path | None:
    """Where the processes of this app write their numbers; None: there is only one."""
    folder = os.environ.get(VARIABLE) or os.environ.get(VARIABLE.lower())
    return Path(folder) if folder else None


class SharedFiles:
    """The files of all processes in one folder, and those of this one.

    :param folder: exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: _OwnFiles | None = None
        self._turn = GreenletMutex()

    def write(self, numbers: Numbers) -> None:
        """Write the numbers of this process. One thread at a time."""
        own = self._own
        if own is None or own.pid != os.getpid():
            self.close()  # in a forked child: those of its parent, whose lock that does not release
            self._turn = GreenletMutex()  # in a forked child: a scrape of the parent may hold it
            own = self._own = _OwnFiles(self._folder)
            with self.turn():
                pass  # those that have ended are added up
        own.write(numbers)

    def close(self) -> None:
        """Close the files of this process: to others it has ended."""
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def registry(self) -> CollectorRegistry:
        """What all processes have written, for one scrape."""
        registry = CollectorRegistry()
        _SumOfFiles(registry, path=str(self._folder))
        return registry

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For the duration of a scrape: files of processes that have ended are added up before."""
        with self._turn, (self._folder / "bridge.turn").open("a") as file:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX)
                self._bury()
            yield

    def _bury(self) -> None:
        locks = {path: _pid_of(path) for path in self._folder.glob("bridge-*.lock")}
        own = None if self._own is None else self._own.lock_path
        ended = [path for path in locks if path != own and not _is_locked(path)]
        living = {pid for path, pid in locks.items() if path not in ended}
        for path in ended:
            owners = [path.stem]
            if locks[path] not in living:
                owners.append(locks[path])  # prometheus-client's name for the app's metrics
            for owner in owners:
                self._bury_files(owner)
            path.unlink(missing_ok=True)

    def _bury_files(self, owner: str) -> None:
        for path in self._folder.glob(f"gauge_live*_{owner}.db"):
            path.unlink(missing_ok=True)
        for kind in ("counter", "histogram", "summary"):
            path = self._folder / f"{kind}_{owner}.db"
            if path.exists():
                values = list(_ValuesFile.read_all_values_from_file(str(path)))
                graves = _ValuesFile(str(self._folder / f"{kind}_{_ENDED}.db"))
                for key, value, _, _ in values:
                    graves.write_value(key, graves.read_value(key)[0] + value, 0.0)
                graves.close()
                path.unlink()


class _OwnFiles:
    """The files of this process. They stay when it ends, and their lock does not."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self._folder = folder
        self._name = f"bridge-{self.pid}-{os.urandom(4).hex()}"
        self.lock_path = folder / f"{self._name}.lock"
        unlocked = folder / f"{self._name}.new"
        self._lock = unlocked.open("w")
        if fcntl is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
            unlocked.rename(self.lock_path)  # only now: without a lock, this process has ended
        self._files: dict[str, Any] = {}
        self._gauges: set[tuple[Metric, tuple[str, ...]]] = set()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._lock.close()

    def write(self, numbers: Numbers) -> None:
        for (metric, labels), value in numbers.counters.items():
            self._write_value(metric, metric.name, metric.labels, labels, value)
        for (metric, labels), histogram in numbers.histograms.items():
            self._write_histogram(metric, labels, histogram)
        gone = self._gauges - numbers.gauges.keys()
        self._gauges.update(numbers.gauges)
        for metric, labels in self._gauges:
            value = 0.0 if (metric, labels) in gone else numbers.gauges[metric, labels]
            self._write_value(metric, metric.name, metric.labels, labels, value)

    def _write_histogram(
        self, metric: Metric, labels: tuple[str, ...], histogram: Histogram
    ) -> None:
        bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
        for bound, count in zip(bounds, histogram.counts, strict=True):
            names, values = (*metric.labels, "le"), (*labels, bound)
            self._write_value(metric, f"{metric.name}_bucket", names, values, count)
        self._write_value(metric, f"{metric.name}_sum", metric.labels, labels, histogram.sum_s)

    def _write_value(
        self,
        metric: Metric,
        sample: str,
        names: tuple[str, ...],
        values: tuple[str, ...],
        value: float,
    ) -> None:
        key = mmap_dict.mmap_key(
            family_name(metric), sample, list(names), list(values), metric.help
        )
        self._file(metric).write_value(key, float(value), 0.0)

    def _file(self, metric: Metric) -> Any:
        kind = f"gauge_{metric.mode}" if metric.kind == "gauge" else metric.kind
        file = self._files.get(kind)
        if file is None:
            path = self._folder / f"{kind}_{self._name}.db"
            file = self._files[kind] = _ValuesFile(str(path))
        return file


def _pid_of(lock: Path) -> str:
    return lock.stem.split("-")[1]


def _is_locked(path: Path) -> bool:
    """Whether the process that has made this lock lives. Not for that process itself."""
    with suppress(FileNotFoundError), path.open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
