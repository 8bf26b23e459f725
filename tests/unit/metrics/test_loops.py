"""The probe of an event loop."""

from __future__ import annotations

import asyncio
import time

from bridge.metrics.loops import LoopProbe, LoopProbes


async def probed(probes: LoopProbes, count: int) -> None:
    """Wait until so many lags have been recorded."""
    async with asyncio.timeout(20):
        while len(probes.lags) < count:
            await asyncio.sleep(0.01)


async def test_a_loop_is_measured_once() -> None:
    probes = LoopProbes()
    loop = asyncio.get_running_loop()

    probes.watch(loop)
    probes.watch(loop)
    await probed(probes, 3)

    [probe] = probes.running()
    assert probe.tasks == len(asyncio.all_tasks())
    assert all(lag >= 0 for lag in probes.lags)


async def test_a_blocked_loop_is_late_from_outside_and_afterwards() -> None:
    probes = LoopProbes()
    probes.watch(asyncio.get_running_loop())
    await probed(probes, 1)
    [probe] = probes.running()

    blocked_until = probe.due_at + 0.3
    while time.monotonic() < blocked_until:
        pass
    late_s = time.monotonic() - probe.due_at
    await probed(probes, 2)

    assert late_s >= 0.3
    assert max(probes.lags) >= 0.3


def test_a_closed_loop_is_not_measured() -> None:
    probes = LoopProbes()
    loop = asyncio.new_event_loop()
    loop.close()

    probes.watch(loop)

    assert probes.running() == []


def test_a_probe_that_runs_in_time_is_not_early() -> None:
    lags: list[float] = []
    probe = LoopProbe(lags.append)
    probe.due_at = time.monotonic() + 60

    async def run() -> None:
        probe.run()

    asyncio.run(run())

    assert lags == [0.0]
