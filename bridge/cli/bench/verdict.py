"""What the numbers say, in a sentence or two; and they may say: stay as you are.

What enters: what was measured. What leaves: lines of text. Pure. A difference counts if the ways
differ in every round in the same direction, and by more than :data:`NOISE` in the median.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bridge.cli.bench.compare import Measured
from bridge.cli.bench.ways import Kind
from bridge.types import Interface

__all__ = ["ratio_of", "verdict"]

NOISE = 1.05


def ratio_of(one: Measured, other: Measured) -> float:
    """``one`` over ``other``: the median of the rounds, each compared with its neighbour."""
    pairs = zip(one.rates, other.rates, strict=True)
    return statistics.median(a / b if b else float("inf") for a, b in pairs)


def verdict(every: Sequence[Measured], interface: Interface) -> list[str]:
    """Lines for the user, the most important first."""
    measured = [each for each in every if each.answers]
    ours, stay = _best(measured, "bridge"), _best(measured, "stay")
    if ours is None:
        return ["No way with bridge was measured, so there is nothing to say about it."]
    lines = [_against_staying(ours, stay, interface)] if stay is not None else []
    lines += [f"{_compared(ours, each)}." for each in measured if each.way.kind == "other"]
    lines += [
        f"{each.way.name}: {each.failed} requests failed." for each in measured if each.failed
    ]
    return lines


def _best(measured: Sequence[Measured], kind: Kind) -> Measured | None:
    of_kind = [each for each in measured if each.way.kind == kind]
    return max(of_kind, key=lambda each: each.rate, default=None)


def _against_staying(ours: Measured, stay: Measured, interface: Interface) -> str:
    if _is_faster(stay, ours):
        return (
            f"Stay on {interface.upper()}: {stay.way.name} serves this page "
            f"{ratio_of(stay, ours):.2f} times as fast as {ours.way.name}. "
            f"{_reason_to_move(interface)}"
        )
    if _is_faster(ours, stay):
        return f"Move, if speed is what you need: {_compared(ours, stay)}."
    return (
        f"Speed is no reason to move: {ours.way.name} and {stay.way.name} do not differ by more "
        f"than this machine does from round to round. {_reason_to_move(interface)}"
    )


def _reason_to_move(interface: Interface) -> str:
    if interface == "asgi":
        return "bridge is for hosts that run WSGI only."
    return "Move for WebSockets or async code beside it, not for speed."


def _is_faster(one: Measured, other: Measured) -> bool:
    always = all(a > b for a, b in zip(one.rates, other.rates, strict=True))
    return always and ratio_of(one, other) > NOISE


def _compared(ours: Measured, other: Measured) -> str:
    ratio = ratio_of(ours, other)
    if _is_faster(ours, other):
        return f"{ours.way.name} is {ratio:.2f} times as fast as {other.way.name}"
    if _is_faster(other, ours):
        return f"{other.way.name} is {1 / ratio:.2f} times as fast as {ours.way.name}"
    return f"{ours.way.name} and {other.way.name} are equally fast here"
