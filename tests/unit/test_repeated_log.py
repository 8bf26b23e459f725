"""Lines that a load of requests repeats: one at once, then one every ten seconds with the count."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge import _repeated_log
from bridge._http.client_text import ClientText
from bridge._repeated_log import RepeatedLog

logger = logging.getLogger("bridge.test_repeated_log")

INTERVAL_S = 10.0


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> RepeatedLog:
    monkeypatch.setattr(_repeated_log, "INTERVAL_S", INTERVAL_S)
    return RepeatedLog(logger, clock)


def test_the_first_is_logged_at_once_as_it_is(
    log: RepeatedLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("503 for %s", "/shop")

    assert caplog.messages == ["503 for /shop"]
    assert (caplog.records[0].levelname, caplog.records[0].name) == ("WARNING", logger.name)


def test_one_is_logged_every_interval_with_the_number_of_the_others(
    log: RepeatedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(1000):
        log.warning("503 for %s", f"/{n}")
    clock.now += INTERVAL_S
    log.warning("503 for %s", "/later")
    log.warning("503 for %s", "/later")
    clock.now += 360 * INTERVAL_S
    log.warning("503 for %s", "/much-later")
    clock.now += INTERVAL_S
    log.warning("503 for %s", "/alone")

    assert caplog.messages == [
        "503 for /0",
        "503 for /later (and 999 more like this since the last such line)",
        "503 for /much-later (and 1 more like this since the last such line)",
        "503 for /alone",
    ]


def test_each_message_is_counted_by_itself(
    log: RepeatedLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        log.warning("503 for %s", "/")
        log.info("408 for %s", "/")

    with caplog.at_level(logging.INFO, logger.name):
        for _ in range(3):
            log.info("408 for %s", "/")

    assert caplog.messages == ["503 for /", "408 for /"]


def test_what_the_logger_does_not_log_is_not_counted(
    log: RepeatedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger.name):
        log.warning("503 for %s", "/")
    log.warning("503 for %s", "/shown")

    assert caplog.messages == ["503 for /shown"]


def test_a_traceback_comes_with_the_first(
    log: RepeatedLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        try:
            raise RuntimeError("can't start new thread")
        except RuntimeError:
            log.exception("pool %r", "web")

    assert caplog.text.count("Traceback") == 1
    assert len(caplog.records) == 1


def test_a_record_names_the_code_that_logs(
    log: RepeatedLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("503")

    assert caplog.records[0].pathname == __file__
    assert caplog.records[0].funcName == "test_a_record_names_the_code_that_logs"


def test_a_text_of_a_client_is_escaped(
    log: RepeatedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log.warning("503 for %s", ClientText("/%d\n"))
    clock.now += INTERVAL_S
    log.warning("503 for %s", ClientText("/%d\n"))

    assert caplog.messages == ["503 for '/%d\\n'"] * 2


def test_no_occurrence_is_lost_between_threads(
    log: RepeatedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(800):
            threads.submit(log.warning, "503")
    lines = len(caplog.records)
    clock.now += INTERVAL_S
    log.warning("503")

    shown = sum(record.args[0] for record in caplog.records if record.args)  # type: ignore[misc,index]  # the counts
    assert lines + shown == 800
