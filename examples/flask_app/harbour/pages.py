"""The pages without state: the front page, the weather (an ``async def`` view), the API's manual.

The weather page queries three slow stations concurrently, which takes as long as the slowest one.
Flask runs the coroutine through asgiref. Behind bridge, asgiref finds the server's event loop, so
no second loop is created.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

blueprint = Blueprint("pages", __name__)

STATIONS = {"Lighthouse": 0.12, "North pier": 0.20, "Old bridge": 0.16}  # seconds to answer


@dataclass(frozen=True)
class Report:
    """The report of one station, how long it took, and the thread of its coroutine."""

    station: str
    wind_knots: int
    sky: str
    took_s: float
    thread: str


@blueprint.get("/")
def home() -> str:
    """The front page: one card for each thing to try."""
    return render_template("home.html")


@blueprint.get("/favicon.ico")
def favicon() -> AnyResponse:
    """Browsers request it for pages that do not name an icon, such as Django's admin."""
    return redirect(url_for("theme.static", filename="bridge.svg"))


@blueprint.get("/api")
def api() -> str:
    """How to use the JSON API, with a button that tries it."""
    return render_template("api.html")


@blueprint.get("/weather")
async def weather() -> str:
    """Query all stations concurrently."""
    started = time.perf_counter()
    reports = await asyncio.gather(*(_query(name, delay) for name, delay in STATIONS.items()))
    return render_template(
        "weather.html",
        reports=reports,
        took_s=time.perf_counter() - started,
        sequential_s=sum(report.took_s for report in reports),
    )


@blueprint.get("/storm")
def storm() -> str:
    """Fail, to show an unhandled exception on the page and in the log."""
    raise RuntimeError("the storm glass fell off the wall (this page fails on purpose)")


async def _query(station: str, delay_s: float) -> Report:
    """Simulate a slow station; the reading is derived from its name and the hour."""
    started = time.perf_counter()
    await asyncio.sleep(delay_s)
    seed = sum(map(ord, station)) + time.localtime().tm_hour
    sky = ("clear", "light cloud", "fog on the water", "showers")[seed % 4]
    took_s = time.perf_counter() - started
    return Report(station, 4 + seed % 19, sky, took_s, threading.current_thread().name)
