"""Scrapes of metrics, and their values.

:func:`scrape` fetches and parses the text of one scrape with prometheus-client's own parser;
:func:`scrape_until` repeats that until what the test expects is there.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.servers import Server

__all__ = ["Scrape", "metrics_url", "scrape", "scrape_until"]

TIMEOUT_S = 20.0
POLL_S = 0.05


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample; 0 if there is none."""
        return self._samples.get((name, tuple(sorted(labels.items()))), 0.0)

    def __repr__(self) -> str:
        """What differs from 0, without buckets."""
        lines = (f"{name}{dict(labels)} {value}" for (name, labels), value in self._samples.items())
        return "\n".join(line for line in lines if "_bucket" not in line and line[-4:] != " 0.0")

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self._samples}


def metrics_url(server: Server) -> str:
    """The URL that ``bridge run`` has shown."""
    log = server.wait_for_log("bridge: metrics: ")
    found = re.search(r"^bridge: metrics: (\S+)", log, re.MULTILINE)
    assert found, log
    return found[1]


def scrape(url: str) -> Scrape:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        return Scrape(response.read().decode())


def scrape_until(url: str, is_reached: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape for which ``is_reached`` is true.

    Workers show the numbers of each other up to a second late, so one scrape may be too early.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            found = scrape(url)
        except (OSError, HTTPException):  # of a worker that is being killed
            found = Scrape("")
        if is_reached(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(POLL_S)
