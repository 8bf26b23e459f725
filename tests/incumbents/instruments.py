"""What is installed in an application: Sentry, OpenTelemetry, the debug toolbar."""

from __future__ import annotations

from tests.incumbents.case import GUNICORN, UVICORN, Case, Serving, post
from tests.incumbents.exchanges import Step

__all__ = [
    "DEBUG_TOOLBAR",
    "OTEL_ASGI",
    "OTEL_DJANGO",
    "OTEL_FASTAPI",
    "OTEL_FLASK",
    "SENTRY_DJANGO",
    "SENTRY_FASTAPI",
    "SENTRY_FLASK",
]

_SECRETS = {"authorization": "Bearer sesame", "cookie": "id=sesame"}
_TRACE = {"sentry-trace": f"{'a' * 32}-{'b' * 16}-1"}
_ERRORS = (
    Step("/errors/Ann?page=2", status=500, headers=_SECRETS),
    Step("/recorded?count=2"),
    post("/errors/Ben", {"words": "Grüße"}, status=500),
    Step("/recorded?count=2"),
    Step("/", headers=_TRACE),
    Step("/recorded?count=1"),
    Step("/missing", status=404),
)

SENTRY_FLASK = Case(
    name="sentry-flask",
    title="Sentry's SDK, Flask",
    package="sentry-sdk",
    environment="sentry",
    servings={
        "gunicorn": Serving(GUNICORN, "sentry_flask_recorded:flask_app"),
        "to_asgi": Serving(UVICORN, "sentry_flask_recorded:app", is_bridge=True),
    },
    env={"SENTRY_DSN": "http://key@127.0.0.1/1"},
    steps=(*_ERRORS, Step("/recorded?count=1"), Step("/stream"), Step("/recorded?count=2")),
    varying=(r'(?<="SERVER_PORT": ")\d+',),
    ready_path="/recorded?count=0",
)

SENTRY_FASTAPI = Case(
    name="sentry-fastapi",
    title="Sentry's SDK, FastAPI",
    package="sentry-sdk",
    environment="sentry",
    servings={
        "uvicorn": Serving(UVICORN, "sentry_fastapi_recorded:fastapi_app"),
        "to_wsgi": Serving(GUNICORN, "sentry_fastapi_recorded:app", is_bridge=True),
    },
    env={"SENTRY_DSN": "http://key@127.0.0.1/1"},
    steps=(*_ERRORS, Step("/recorded?count=1"), Step("/threads/Cem"), Step("/recorded?count=2")),
    varying=(r"127.0.0.1:\d+",),  # the SDK prefers the server's address to the Host header
    ready_path="/recorded?count=0",
)

_ASGI_HANDLER = "Django's ASGI handler"

SENTRY_DJANGO = Case(
    name="sentry-django",
    title="Sentry's SDK, Django",
    package="sentry-sdk",
    environment="sentry",
    servings={
        "gunicorn": Serving(GUNICORN, "sentry_django_recorded:wsgi_app"),
        _ASGI_HANDLER: Serving(UVICORN, "sentry_django_recorded:asgi_app"),
        "contrib.django": Serving(UVICORN, "sentry_django_recorded:app", is_bridge=True),
    },
    env={"SENTRY_DSN": "http://key@127.0.0.1/1"},
    steps=(
        *_ERRORS,
        Step("/recorded?count=1"),
        Step("/async?page=2", status=500, headers=_SECRETS, like=_ASGI_HANDLER),
        Step("/recorded?count=2", like=_ASGI_HANDLER),
    ),
    varying=(r'(?<="SERVER_PORT": ")\d+', r"127.0.0.1:\d+"),
    ready_path="/recorded?count=0",
)

_TRACED = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}


def spans(*counts: int, last: str) -> tuple[Step, ...]:
    """Requests, each followed by one for its spans.

    :param counts: how many spans each request makes.
    """
    requests = (
        Step("/?page=2", headers=_TRACED),
        Step("/errors/Ann", status=500),
        Step("/missing", status=404),
        Step(last),
    )
    pairs = zip(requests, counts, strict=True)
    return tuple(step for request, n in pairs for step in (request, Step(f"/recorded?count={n}")))


_PORTS = (r'(?<=net.(peer|host).port": )\d+', r"127.0.0.1:\d+")

OTEL_FLASK = Case(
    name="otel-flask",
    title="OpenTelemetry, Flask",
    package="opentelemetry-instrumentation-flask",
    environment="otel",
    servings={
        "gunicorn": Serving(GUNICORN, "otel_flask_recorded:flask_app"),
        "to_asgi": Serving(UVICORN, "otel_flask_recorded:app", is_bridge=True),
    },
    steps=spans(2, 1, 1, 2, last="/stream"),
    varying=_PORTS,
    ready_path="/recorded?count=0",
)

OTEL_FASTAPI = Case(
    name="otel-fastapi",
    title="OpenTelemetry, FastAPI",
    package="opentelemetry-instrumentation-fastapi",
    environment="otel",
    servings={
        "uvicorn": Serving(UVICORN, "otel_fastapi_recorded:fastapi_app"),
        "to_wsgi": Serving(GUNICORN, "otel_fastapi_recorded:app", is_bridge=True),
    },
    steps=spans(4, 3, 3, 4, last="/threads/Cem"),
    varying=_PORTS,
    ready_path="/recorded?count=0",
)

OTEL_DJANGO = Case(
    name="otel-django",
    title="OpenTelemetry, Django",
    package="opentelemetry-instrumentation-django",
    environment="otel",
    servings={
        "gunicorn": Serving(GUNICORN, "otel_django_recorded:wsgi_app"),
        "contrib.django": Serving(UVICORN, "otel_django_recorded:app", is_bridge=True),
    },
    steps=spans(2, 1, 1, 2, last="/async"),
    varying=_PORTS,
    ready_path="/recorded?count=0",
)

OTEL_ASGI = Case(
    name="otel-asgi",
    title="OpenTelemetry, its ASGI middleware around Flask",
    package="opentelemetry-instrumentation-asgi",
    environment="otel",
    servings={
        "a2wsgi": Serving(UVICORN, "otel_flask_recorded:inside_a2wsgi"),
        "to_asgi": Serving(UVICORN, "otel_flask_recorded:inside", is_bridge=True),
    },
    steps=spans(3, 2, 2, 3, last="/stream"),
    varying=(*_PORTS, r'"http.(target|url)": "[^"]+"'),  # a2wsgi has no RAW_URI, as gunicorn has
    ready_path="/recorded?count=0",
)

_PANEL = "/__debug__/render_panel/?request_id=$request&panel_id="

DEBUG_TOOLBAR = Case(
    name="debug-toolbar",
    title="django-debug-toolbar",
    package="django-debug-toolbar",
    servings={
        "gunicorn": Serving(GUNICORN, "toolbar_native:wsgi_app"),
        _ASGI_HANDLER: Serving(UVICORN, "toolbar_native:asgi_app"),
        "contrib.django": Serving(UVICORN, "toolbar_site:app", is_bridge=True),
    },
    steps=(
        Step("/", keep={"request": r'data-request-id="(\w+)"'}),
        Step(f"{_PANEL}SQLPanel"),
        Step(f"{_PANEL}HeadersPanel"),
        Step("/async/", like=_ASGI_HANDLER),
    ),
    varying=(
        r"\b[0-9a-f]{32}\b",  # identifiers of requests
        r"debug-toolbar/[^/]+/",  # folders
        r"(bridge|gunicorn)/[\d.]+",
        r"\d+\.\d+",  # times
        r"(?<=SERVER_PORT</td>\\n        <td>)\d+",
    ),
    ready_path="/async/",
)
