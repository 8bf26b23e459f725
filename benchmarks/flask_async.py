"""A Flask ``async def`` view behind the bridge on uvicorn, and on gunicorn's gthread.

::

    python -m benchmarks.flask_async --quick

The view awaits ``sleep(0)`` once, so the benchmark measures the way to the event loop and back.
"ours" is an app that is configured to use `bridge.async_to_sync`, as Flask's documentation
describes; the others use Flask's default, asgiref's.
"""

from __future__ import annotations

import asyncio

import click
from flask import Flask

import bridge
from benchmarks.options import number
from benchmarks.side_by_side import gthread, measure, show, uvicorn


def _make_app() -> Flask:
    app = Flask(__name__)

    @app.get("/")
    async def hello() -> str:
        await asyncio.sleep(0)
        return "Hello, world!"

    return app


theirs = _make_app()
ours = _make_app()
ours.async_to_sync = bridge.async_to_sync  # type: ignore[method-assign,assignment]  # documented by Flask

bridge_theirs = bridge.to_asgi(theirs)
bridge_ours = bridge.to_asgi(ours)


@click.command()
@number("--rounds", 5, "Rounds for each contender.")
@number("--seconds", 5, "Duration of a round, in seconds.")
@number("--connections", 32, "Connections of wrk.")
@click.option("--quick", is_flag=True, help="3 rounds of 2 seconds.")
def main(rounds: int, seconds: int, connections: int, quick: bool) -> None:
    """Measure the view in four setups, in turn, and print the ratios."""
    if quick:
        rounds, seconds = 3, 2
    here = "benchmarks.flask_async:"
    contenders = [
        uvicorn("bridge, ours", here + "bridge_ours"),
        uvicorn("bridge", here + "bridge_theirs"),
        gthread("gthread, ours", here + "ours"),
        gthread("gthread", here + "theirs"),
    ]
    title = "Flask async view"
    measure(title, contenders, rounds=rounds, seconds=seconds, connections=connections)
    show(f"{title}, {connections} connections", contenders, against="bridge, ours")


if __name__ == "__main__":
    main()
