"""An observer that keeps what it gets, and apps to observe."""

from __future__ import annotations

from bridge import RequestRecord

TYPE = ("Content-Type", "text/plain")


class Recorder:
    """Keeps each record, by what happened to it, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, RequestRecord]] = []

    def started(self, record: RequestRecord) -> None:
        assert record.total_s is None
        self.events.append(("started", record))

    def ended(self, record: RequestRecord) -> None:
        self.events.append(("ended", record))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def last(self) -> RequestRecord:
        return self.events[-1][1]


class Faulty:
    """Fails in both methods."""

    def started(self, record: RequestRecord) -> None:
        raise RuntimeError("started")

    def ended(self, record: RequestRecord) -> None:
        raise RuntimeError("ended")
