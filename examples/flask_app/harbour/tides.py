"""Tides: a chart of the next two days, and a streamed CSV of up to ten years.

The water level is the sum of the five largest tidal constituents. Their speeds are real; the
heights and phases are those of a fictional harbour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from flask import Blueprint, Response, abort, render_template, request

blueprint = Blueprint("tides", __name__)

# name: (degrees per hour, height in metres, phase in degrees)
CONSTITUENTS = {
    "M2": (28.9841042, 1.42, 112.0),
    "S2": (30.0, 0.46, 158.0),
    "N2": (28.4397295, 0.28, 91.0),
    "K1": (15.0410686, 0.17, 21.0),
    "O1": (13.9430356, 0.12, 337.0),
}
MEAN_LEVEL_M = 2.6
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)
ROWS_PER_CHUNK = 144  # one day
MAX_DAYS = 3653


def level_m(at: datetime) -> float:
    """Height of the water above the harbour's zero, in metres."""
    hours = (at - EPOCH).total_seconds() / 3600
    return MEAN_LEVEL_M + sum(
        height * math.cos(math.radians(speed * hours - phase))
        for speed, height, phase in CONSTITUENTS.values()
    )


@blueprint.get("/tides")
def chart() -> str:
    """A chart of two days, and the download form."""
    start = _this_hour()
    times = [start + step * timedelta(minutes=30) for step in range(97)]
    levels = [level_m(at) for at in times]
    return render_template(
        "tides.html", times=times, levels=levels, turns=_turns(times, levels), max_days=MAX_DAYS
    )


@blueprint.get("/tides.csv")
def download() -> Response:
    """Stream the levels: 144 rows per day, sent while they are computed."""
    requested = request.args.get("days", "30")
    days = int(requested) if requested.isdecimal() and len(requested) < 6 else 0
    if not 1 <= days <= MAX_DAYS:
        abort(400, f"days={requested!r} is not a whole number from 1 to {MAX_DAYS}.")
    name = f"tides-{days}-days.csv"
    return Response(
        csv_rows(_this_hour(), days),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def csv_rows(start: datetime, days: int) -> Iterator[str]:
    """Yield the header line, then one chunk of text per day."""
    yield "time_utc,level_m\r\n"
    for day in range(days):
        midnight = start + timedelta(days=day)
        times = (midnight + STEP * row for row in range(ROWS_PER_CHUNK))
        yield "".join(f"{at:%Y-%m-%dT%H:%MZ},{level_m(at):.3f}\r\n" for at in times)


def _this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def _turns(times: list[datetime], levels: list[float]) -> list[tuple[str, datetime, float]]:
    """High and low waters: the local maxima and minima of the level."""
    found = []
    for before, (at, here), after in zip(
        levels, zip(times[1:], levels[1:], strict=False), levels[2:], strict=False
    ):
        if before < here >= after:
            found.append(("High water", at, here))
        elif before > here <= after:
            found.append(("Low water", at, here))
    return found
