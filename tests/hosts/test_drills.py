"""Two hosts behind HAProxy under load: what a rolling upgrade, a kill and a restart of Redis cost.

The short form. ``nox -s hosts`` runs all drills for longer, and updates the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.cluster import Cluster, cluster
from tests.hosts.drills import Figures, run
from tests.hosts.load import SOCKETS

ANSWERS = 50

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def hosts() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def test_hosts_fail_and_are_upgraded_under_load(hosts: Cluster) -> None:
    """In one test, so that the cluster is started once, however tests are distributed."""
    _rolling_upgrade_loses_nothing(run("upgrade", hosts, ANSWERS))
    _kill_loses_only_what_the_host_had(run("kill", hosts, ANSWERS))
    _restart_of_redis_closes_no_websocket(run("restart Redis", hosts, ANSWERS))


def _rolling_upgrade_loses_nothing(seen: Figures) -> None:
    assert seen.failed == 0, seen
    assert set(seen.closed) == {"one moved", "two moved"}, "WebSockets are closed with code 1012"
    _reaches_all_websockets(seen)


def _kill_loses_only_what_the_host_had(seen: Figures) -> None:
    """GET requests are answered by the other host; a POST may be cut, and its client sees it."""
    assert seen.of("silent") == seen.of("refused") == 0, seen
    assert seen.failed == seen.of("cut", "POST"), seen
    assert set(seen.closed) == {"one lost"}
    _reaches_all_websockets(seen)


def _restart_of_redis_closes_no_websocket(seen: Figures) -> None:
    assert seen.failed == seen.of("refused", "POST"), seen
    assert not seen.closed
    assert {*seen.notice["reached"]} == {"one", "two"}
    _reaches_all_websockets(seen)


def _reaches_all_websockets(seen: Figures) -> None:
    assert seen.notice["status"] == 200
    assert (seen.notice["missing"], sum(seen.notice["reached"].values())) == (0, SOCKETS)
