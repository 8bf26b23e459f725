"""The metrics of this process: measured once, however many apps show them.

Where ``PROMETHEUS_MULTIPROC_DIR`` is set, they are written to its files; elsewhere a registry of
prometheus-client collects them. That is decided when the first of these functions is called.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry

from bridge._threads.locks import GreenletMutex
from bridge.errors import ConfigError
from bridge.metrics.collector import NumbersCollector
from bridge.metrics.measuring import Measuring
from bridge.metrics.shared_files import VARIABLE, SharedFiles, shared_directory

__all__ = ["ProcessMetrics", "process_metrics"]


class ProcessMetrics:
    """What this process measures, and where others find it.

    :ivar shared: the files of all processes; None if this one is alone.
    :raises ConfigError: ``PROMETHEUS_MULTIPROC_DIR`` is no folder in which files can be made.
    """

    def __init__(self) -> None:
        self.shared = _shared_files()
        self.measuring = Measuring(None if self.shared is None else self.shared.write)
        self._collector = NumbersCollector(self.measuring.read)
        self._registries: list[CollectorRegistry] = []

    def register(self, registry: CollectorRegistry) -> None:
        """Let a registry collect the metrics. Once is enough."""
        if self.shared is None and not any(each is registry for each in self._registries):
            self._registries.append(registry)
            registry.register(self._collector)


def _shared_files() -> SharedFiles | None:
    folder = shared_directory()
    if folder is None:
        return None
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ConfigError(VARIABLE, str(folder), "a folder that this process may write to")
    return SharedFiles(folder)


_lock = GreenletMutex()
_metrics: ProcessMetrics | None = None


def process_metrics(registry: CollectorRegistry = REGISTRY) -> ProcessMetrics:
    """Measure from now on, in this process and the children that it forks.

    :param registry: collects the metrics, unless they are those of several processes.
    :raises ConfigError: as :class:`ProcessMetrics`.
    """
    global _metrics
    with _lock:
        if _metrics is None:
            _metrics = ProcessMetrics()
        _metrics.register(registry)
        return _metrics
