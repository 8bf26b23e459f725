"""Event streams: a response of type ``text/event-stream`` holds a thread until shown otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli.commands import app
from bridge.migrate.event_streams import event_streams
from tests.migrate.helpers import findings, fixed, project_of
from tests.migrate.sites import DJANGO, procfile

FLASK = (
    "from flask import Flask, Response, current_app, make_response, stream_with_context\n"
    "from shop.bus import TYPE, subscribe\n\n"
    "app = Flask(__name__)\n\n\n"
    "def produce():\n    for event in subscribe():\n        yield f'data: {event}\\n\\n'\n\n\n"
    "@app.get('/events')\ndef events():\n"
)
BUS = "TYPE = 'text/event-stream'\n\n\ndef subscribe():\n    yield from queue()\n"
FLASK_VIEWS = {
    "helper": "    return Response(produce(), mimetype='text/event-stream')\n",
    "local": (
        "    def generate():\n        for event in subscribe():\n            yield event\n\n"
        "    return Response(generate(), mimetype='text/event-stream')\n"
    ),
    "decorated": (
        "    @stream_with_context\n    def generate():\n        for event in subscribe():\n"
        "            yield event\n\n"
        "    return Response(generate(), content_type='text/event-stream; charset=utf-8')\n"
    ),
    "wrapped": "    return app.response_class(stream_with_context(produce()), mimetype=TYPE)\n",
    "headers": (
        "    response = Response(produce())\n"
        "    response.headers['Content-Type'] = 'text/event-stream'\n    return response\n"
    ),
    "attribute": (
        "    response = make_response(produce())\n"
        "    response.mimetype = 'text/event-stream'\n    return response\n"
    ),
    "setter": (
        "    response = Response(produce())\n"
        "    response.headers.set('content-type', 'text/event-stream')\n    return response\n"
    ),
    "argument": "    return Response(produce(), headers={'Content-Type': 'text/event-stream'})\n",
    "tuple": "    return produce(), 200, {'Content-Type': 'text/event-stream'}\n",
    "pairs": "    return Response(produce(), headers=[('Content-Type', 'text/event-stream')])\n",
    "position": "    return Response(produce(), 200, None, 'text/event-stream')\n",
    "unknown": "    return current_app.response_class(bus.stream(), mimetype=TYPE)\n",
    "named headers": (
        "    headers = {'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no'}\n"
        "    return Response(produce(), headers=headers)\n"
    ),
}
DJANGO_HEAD = (
    "from django.http import HttpResponse, StreamingHttpResponse\n\n\n"
    "def produce():\n    for event in subscribe():\n        yield event\n\n\n"
    "async def produce_async():\n    async for event in subscribe():\n        yield event\n\n\n"
)
STREAM = "StreamingHttpResponse({}, content_type='text/event-stream')"
VIEW = "def events(request):\n    return {}\n"
WRAPPER = (
    "from django.http import StreamingHttpResponse\n\n\n"
    "def event_response(content):\n"
    "    return StreamingHttpResponse(content, content_type='text/event-stream')\n\n\n"
    "class Events(StreamingHttpResponse):\n"
    "    def __init__(self, content):\n"
    "        super().__init__(content, content_type='text/event-stream')\n"
)


def streams_of(files: dict[str, str]) -> list[tuple[str, bool]]:
    """The place of each stream, and whether it holds a thread."""
    with project_of(files, target="bridge") as project:
        return [(each.place, each.holds_thread) for each in event_streams(project)]


# -- Flask -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", FLASK_VIEWS)
def test_a_response_of_flask_with_that_type_is_a_stream(view: str) -> None:
    files = {"shop/code.py": FLASK + FLASK_VIEWS[view], "shop/bus.py": BUS}

    [(place, holds_thread)] = streams_of(files)
    [found] = findings(files, "F706", target="bridge")

    assert place.startswith("shop/code.py:")
    assert place.endswith(" events")
    assert holds_thread
    assert "holds a worker thread" in found.message


def test_the_blueprint_of_flask_sse_is_a_stream() -> None:
    text = "from flask_sse import sse\n\napp.register_blueprint(sse, url_prefix='/stream')\n"

    assert streams_of({"shop/code.py": text}) == [("shop/code.py:3 sse of flask_sse", True)]


@pytest.mark.parametrize(
    "text",
    [
        "    return Response('data: x\\n\\n', mimetype='text/event-stream')\n",
        "    return Response(f'data: {1}\\n\\n', mimetype='text/event-stream')\n",
        "    return Response(['data: x\\n\\n'], mimetype='text/event-stream')\n",
        "    return Response(json.dumps(1).encode(), mimetype='text/event-stream')\n",
        "    return request.accept_mimetypes['text/event-stream']\n",
        "    return get(url, headers={'Accept': 'text/event-stream'})\n",
        "    if 'text/event-stream' in request.headers['Accept']:\n        return ''\n",
        "    return requests.post(url, headers={'Content-Type': 'text/event-stream'}).text\n",
        "    return client.get('/', content_type='text/event-stream')\n",
        "    assert response.mimetype == 'text/event-stream'\n    return ''\n",
    ],
)
def test_a_whole_body_a_request_or_a_comparison_is_no_stream(text: str) -> None:
    head = f"import json\n\nimport requests\n{FLASK}"

    assert streams_of({"shop/code.py": head + text, "shop/bus.py": BUS}) == []


def test_responses_of_asgi_frameworks_and_tests_are_not_counted() -> None:
    text = "    return StreamingResponse(produce(), media_type='text/event-stream')\n"
    head = "from starlette.responses import StreamingResponse\n\n\nasync def events(request):\n"

    assert streams_of({"shop/code.py": head + text}) == []
    assert streams_of({"tests/test_code.py": FLASK + FLASK_VIEWS["helper"]}) == []


# -- Django ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "holds_thread"),
    [
        ("produce()", True),
        ("(e for e in subscribe())", True),
        ("bus.stream()", True),
        ("produce_async()", False),
        ("(e async for e in subscribe())", False),
    ],
)
def test_only_an_async_iterator_of_django_holds_no_thread(content: str, holds_thread: bool) -> None:
    text = DJANGO_HEAD + VIEW.format(STREAM.format(content))
    files = {**DJANGO, "mysite/views.py": text}

    assert [held for _, held in streams_of(files)] == [holds_thread]
    assert len(findings(files, "V410", target="bridge")) == holds_thread


def test_the_type_may_be_set_on_a_response_of_django() -> None:
    text = (
        "    response = StreamingHttpResponse(produce())\n"
        "    response['Content-Type'] = 'text/event-stream'\n    return response\n"
    )
    files = {"shop/code.py": f"{DJANGO_HEAD}def events(request):\n{text}"}

    assert [held for _, held in streams_of(files)] == [True]


def test_an_http_response_of_django_is_no_stream() -> None:
    """It reads its iterator before it is returned."""
    text = VIEW.format("HttpResponse(produce(), content_type='text/event-stream')")

    assert streams_of({"shop/code.py": DJANGO_HEAD + text}) == []


@pytest.mark.parametrize("name", ["event_response", "Events"])
def test_a_wrapper_is_reported_where_it_is_called(name: str) -> None:
    text = f"from shop.sse import {name}\n" + DJANGO_HEAD
    text += f"def events(request):\n    return {name}(produce())\n\n\n"
    text += f"async def more(request):\n    return {name}(produce_async())\n"
    files = {"shop/sse.py": WRAPPER, "shop/code.py": text}

    found = [(place, held) for place, held in streams_of(files) if "code" in place]

    assert found == [("shop/code.py:16 events", True), ("shop/code.py:20 more", False)]
    assert [str(each.path) for each in findings(files, "V410", target="bridge")].count(
        "shop/code.py"
    ) == 1


# -- what is made of them --------------------------------------------------------------------------

STREAMING = {"shop/code.py": FLASK + FLASK_VIEWS["helper"], "shop/bus.py": BUS}


def plan(files: dict[str, str], folder: Path) -> tuple[dict[str, Any], str]:
    """The plan as JSON and as text."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    arguments = ["migrate", "plan", str(folder), "--target", "bridge", "--fail-level", "never"]
    made = json.loads(CliRunner().invoke(app, [*arguments, "--format", "json"]).stdout)
    return made, CliRunner().invoke(app, arguments).stdout


@pytest.mark.parametrize(
    ("options", "threads"),
    [("", 40), ("--threads 1", 40), ("--threads 8", 40), ("-w 9", 40), ("--threads 120", 120)],
)
def test_streams_are_counted_into_the_threads(options: str, threads: int, tmp_path: Path) -> None:
    made, _ = plan({**STREAMING, **procfile(f"gunicorn shop.code:app {options}")}, tmp_path)

    assert made["threads"] == threads
    assert "1 event stream" in made["threads_why"]
    assert f"--threads {threads}" in made["server"]


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn shop.code:app",
        "gunicorn shop.code:app --threads 1",
        "gunicorn shop.code:app -k gevent",
        "uwsgi --http :8000 --module shop.code:app --processes 2",
    ],
)
def test_the_fix_writes_threads_and_a_grace_period_for_streams(command: str) -> None:
    after = fixed({**STREAMING, **procfile(command)}, "X501", target="bridge")["Procfile"]

    assert "bridge run shop.code:app" in after
    assert "--threads 40" in after
    assert "--grace-s 30" in after


def test_the_fix_for_django_writes_both_too() -> None:
    text = DJANGO_HEAD + VIEW.format(STREAM.format("produce()"))
    files = {**DJANGO, "mysite/views.py": text, **procfile("gunicorn mysite.wsgi --threads 2")}

    after = fixed(files, "X501", target="bridge")

    assert "get_asgi_application(threads=40)" in after["mysite/asgi.py"]
    assert "--timeout-graceful-shutdown 30" in after["Procfile"]


def test_an_async_stream_needs_a_grace_period_and_no_threads() -> None:
    text = DJANGO_HEAD + VIEW.format(STREAM.format("produce_async()"))
    files = {**DJANGO, "mysite/views.py": text, **procfile("gunicorn mysite.wsgi --threads 2")}

    after = fixed(files, "X501", target="bridge")

    assert "get_asgi_application(threads=2)" in after["mysite/asgi.py"]
    assert "--timeout-graceful-shutdown 30" in after["Procfile"]


def test_the_servers_own_grace_period_is_kept() -> None:
    files = {**STREAMING, **procfile("gunicorn shop.code:app --graceful-timeout 5")}

    assert "--grace-s 5" in fixed(files, "X501", target="bridge")["Procfile"]


def test_the_plan_names_streams_in_its_first_lines(tmp_path: Path) -> None:
    made, text = plan({**STREAMING, **procfile("gunicorn shop.code:app --threads 1")}, tmp_path)

    shown = "shop/code.py:14 events: each open client holds a thread"
    assert made["streams"] == [shown]
    assert [line for line in text.splitlines()[:6] if line.startswith("Streams")] == [
        f"Streams        {shown}"
    ]
