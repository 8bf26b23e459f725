"""WSGI or ASGI: apps of real frameworks, and every kind of callable."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import demo_app
from wsgiref.validate import validator

import a2wsgi
import bottle  # type: ignore[import-untyped]  # it has no stubs
import channels.auth  # type: ignore[import-untyped]  # it has no stubs
import channels.generic.websocket  # type: ignore[import-untyped]  # it has no stubs
import channels.routing  # type: ignore[import-untyped]  # it has no stubs
import django
import falcon
import falcon.asgi
import fastapi
import flask
import mcp.server.mcpserver
import prometheus_client
import pytest
import quart
import sanic
import starlette.applications
import starlette.endpoints
import starlette.middleware.cors
import starlette.routing
import werkzeug.middleware.proxy_fix
import werkzeug.wrappers
from asgiref.compatibility import guarantee_single_callable
from asgiref.wsgi import WsgiToAsgi as AsgirefWsgiToAsgi
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from bridge.errors import AmbiguousApp
from bridge.interface import interface_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they import pkg_resources and cgi
    import webob.dec  # type: ignore[import-untyped]  # it has no stubs
    from pyramid.config import Configurator  # type: ignore[import-untyped]  # it has no stubs


def wsgi_function(environ: Any, start_response: Any) -> Iterable[bytes]:
    return demo_app(environ, start_response)


async def asgi_function(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204})


class WsgiInstance:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return demo_app(environ, start_response)

    method = __call__


class AsgiInstance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi_function(scope, receive, send)

    method = __call__


class AsgiInstanceReturningCoroutine:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return asgi_function(scope, receive, send)


class WsgiClass:
    """Like AppClass in PEP 3333: the instance is the response."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        self.start = start_response

    def __iter__(self) -> Iterator[bytes]:
        self.start("200 OK", [])
        yield b"hello"


class AsgiClass:
    """Like Starlette's HTTPEndpoint: the instance is awaited."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.send = send

    def __await__(self) -> Any:
        return self.send({"type": "http.response.start", "status": 204}).__await__()


def _name(value: object) -> str:
    return getattr(value, "__name__", type(value).__name__)


FLASK: Any = flask.Flask("f")
FASTAPI: Any = fastapi.FastAPI()


# -- frameworks ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def django_ready() -> None:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, STATIC_URL="static/", STATIC_ROOT="static")
    django.setup()


@pytest.mark.parametrize(
    "app",
    [
        flask.Flask("f"),
        flask.Flask("f").wsgi_app,
        falcon.App(),
        bottle.Bottle(),
        Configurator().make_wsgi_app(),
        a2wsgi.ASGIMiddleware(FASTAPI),
        prometheus_client.make_wsgi_app(),
        werkzeug.middleware.proxy_fix.ProxyFix(flask.Flask("f")),
        werkzeug.wrappers.Response("body"),
        werkzeug.wrappers.Request.application(lambda request: werkzeug.wrappers.Response()),
        webob.dec.wsgify(lambda request: "body"),
        validator(demo_app),
        demo_app,
    ],
    ids=_name,
)
def test_apps_of_wsgi_frameworks_are_wsgi(app: object) -> None:
    assert interface_of(app) == "wsgi"


@pytest.mark.parametrize(
    "app",
    [
        starlette.applications.Starlette(),
        starlette.routing.Router(),
        starlette.middleware.cors.CORSMiddleware(starlette.routing.Router()),
        fastapi.FastAPI(),
        fastapi.APIRouter(),
        quart.Quart("q"),
        quart.Quart("q").asgi_app,
        falcon.asgi.App(),
        sanic.Sanic("interface"),
        channels.routing.ProtocolTypeRouter({}),
        channels.auth.AuthMiddlewareStack(channels.routing.URLRouter([])),
        channels.generic.websocket.AsyncWebsocketConsumer.as_asgi(),
        channels.generic.websocket.WebsocketConsumer.as_asgi(),
        a2wsgi.WSGIMiddleware(FLASK),
        AsgirefWsgiToAsgi(FLASK),  # type: ignore[no-untyped-call]  # asgiref's is untyped
        prometheus_client.make_asgi_app(),
        mcp.server.mcpserver.MCPServer("m").streamable_http_app(),
        guarantee_single_callable(lambda scope: asgi_function),  # type: ignore[no-untyped-call]  # same
    ],
    ids=_name,
)
def test_apps_of_asgi_frameworks_are_asgi(app: object) -> None:
    assert interface_of(app) == "asgi"


@pytest.mark.usefixtures("django_ready")
def test_django_applications_of_both_kinds_are_recognised() -> None:
    assert interface_of(get_wsgi_application()) == "wsgi"
    assert interface_of(get_asgi_application()) == "asgi"
    assert interface_of(StaticFilesHandler(get_wsgi_application())) == "wsgi"
    assert interface_of(ASGIStaticFilesHandler(get_asgi_application())) == "asgi"


def test_a_subclass_is_recognised_by_its_own_call_method() -> None:
    class Api(fastapi.FastAPI):
        def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
            return super().__call__(scope, receive, send)

    class Site(flask.Flask):
        def __call__(self, environ: Any, start_response: Any) -> Any:
            return super().__call__(environ, start_response)

    assert interface_of(Api()) == "asgi"
    assert interface_of(Site("s")) == "wsgi"


def test_no_framework_is_imported() -> None:
    code = (
        "import sys, bridge.interface\n"
        "bridge.interface.interface_of(lambda environ, start_response: [])\n"
        "heavy = {'flask', 'django', 'starlette', 'fastapi', 'quart', 'click', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- kinds of callables ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "app",
    [
        wsgi_function,
        WsgiInstance(),
        WsgiInstance().method,
        WsgiClass,
        lambda a, b: [b""],
        lambda env, start, timeout=1: [b""],
        functools.partial(lambda prefix, environ, start_response: [b""], "/app"),
        functools.partial(lambda environ, start_response, debug: [b""], debug=True),
        functools.partial(functools.partial(WsgiInstance())),
    ],
    ids=_name,
)
def test_callables_of_two_arguments_are_wsgi(app: object) -> None:
    assert interface_of(app) == "wsgi"


@pytest.mark.parametrize(
    "app",
    [
        asgi_function,
        AsgiInstance(),
        AsgiInstance().method,
        AsgiInstanceReturningCoroutine(),
        AsgiClass,
        starlette.endpoints.HTTPEndpoint,
        lambda a, b, c: asgi_function(a, b, c),
        lambda scope, receive, send, state=None: asgi_function(scope, receive, send),
        functools.partial(asgi_function),
        functools.partial(functools.partial(AsgiInstance())),
    ],
    ids=_name,
)
def test_callables_of_three_arguments_are_asgi(app: object) -> None:
    assert interface_of(app) == "asgi"


def test_an_async_function_with_star_args_is_asgi() -> None:
    async def app(*args: Any) -> None:
        await asgi_function(*args)

    assert interface_of(app) == "asgi"


# -- decorated callables ---------------------------------------------------------------------------


def test_the_wrapper_signature_takes_precedence_over_the_wrapped_one() -> None:
    @functools.wraps(asgi_function)
    def now_wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
        return demo_app(environ, start_response)

    @functools.wraps(wsgi_function)
    async def now_asgi(scope: Any, receive: Any, send: Any) -> None:
        await asgi_function(scope, receive, send)

    assert interface_of(now_wsgi) == "wsgi"
    assert interface_of(now_asgi) == "asgi"


@pytest.mark.parametrize(("app", "expected"), [(wsgi_function, "wsgi"), (asgi_function, "asgi")])
def test_a_wrapper_with_star_args_has_the_interface_of_the_wrapped(app: Any, expected: str) -> None:
    def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return inner(*args, **kwargs)

        return wrapper

    assert interface_of(decorate(decorate(app))) == expected


def test_an_async_wrapper_with_star_args_is_asgi() -> None:
    @functools.wraps(wsgi_function)
    async def wrapper(*args: Any, **kwargs: Any) -> None:
        await asgi_function(*args, **kwargs)

    assert interface_of(wrapper) == "asgi"


def test_a_cycle_of_wrappers_is_ambiguous() -> None:
    def app(*args: Any) -> None: ...

    vars(app)["__wrapped__"] = app
    with pytest.raises(AmbiguousApp):
        interface_of(app)


# -- the marker ------------------------------------------------------------------------------------


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_the_marker_sets_the_interface(interface: str) -> None:
    def app(*args: Any) -> None: ...

    vars(app)["__bridge_interface__"] = interface
    assert interface_of(app) == interface


def test_the_marker_takes_precedence_over_the_signature() -> None:
    class Odd(WsgiInstance):
        __bridge_interface__ = "asgi"

    assert interface_of(Odd()) == "asgi"


def test_a_marker_copied_by_functools_wraps_does_not_override_the_signature() -> None:
    def inner(environ: Any, start_response: Any) -> None: ...

    vars(inner)["__bridge_interface__"] = "wsgi"

    @functools.wraps(inner)
    async def outer(scope: Any, receive: Any, send: Any) -> None: ...

    @functools.wraps(inner)
    def passing(*args: Any) -> None: ...

    assert interface_of(outer) == "asgi"
    assert interface_of(passing) == "wsgi"


def test_an_invalid_marker_is_named_in_the_error() -> None:
    def app(*args: Any) -> None: ...

    vars(app)["__bridge_interface__"] = "WSGI"
    with pytest.raises(AmbiguousApp, match=r"app\.__bridge_interface__ is 'WSGI': it takes \"wsgi"):
        interface_of(app)


def test_a_marker_on_a_class_applies_to_its_instances_only() -> None:
    class Adapter(WsgiInstance):
        __bridge_interface__ = "wsgi"

    assert interface_of(Adapter()) == "wsgi"
    with pytest.raises(AmbiguousApp, match=r"did you mean an instance of it, Adapter\(\.\.\.\)\?"):
        interface_of(Adapter)


def test_asgirefs_single_callable_hint_is_asgi() -> None:
    def app(*args: Any) -> None: ...

    vars(app)["_asgi_single_callable"] = True
    assert interface_of(app) == "asgi"


# -- ambiguous apps --------------------------------------------------------------------------------


class Asgi2Class:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


def _asgi_2_hinted(*args: Any) -> None: ...


vars(_asgi_2_hinted)["_asgi_double_callable"] = True


@pytest.mark.parametrize(
    "app", [Asgi2Class, lambda scope: asgi_function, _asgi_2_hinted], ids=_name
)
def test_the_error_for_asgi_2_names_asgirefs_wrapper(app: object) -> None:
    with pytest.raises(
        AmbiguousApp, match=r"asgiref\.compatibility\.guarantee_single_callable\(\w+\)"
    ):
        interface_of(app)


def create_app() -> None: ...


def create_configured(config: Any = None, debug: bool = False) -> None: ...


async def create_async() -> None: ...


@pytest.mark.parametrize(
    ("factory", "call"),
    [
        (create_app, r"create_app\(\)"),
        (create_configured, r"create_configured\(\)"),
        (create_async, r"await create_async\(\)"),
    ],
)
def test_the_error_for_a_factory_suggests_a_call(factory: object, call: str) -> None:
    with pytest.raises(AmbiguousApp, match=rf"did you mean to call it, {call}\?"):
        interface_of(factory)


@pytest.mark.parametrize("cls", [flask.Flask, fastapi.FastAPI, WsgiInstance, int])
def test_the_error_for_a_class_suggests_an_instance(cls: type) -> None:
    with pytest.raises(AmbiguousApp, match=rf"did you mean an instance of it, {cls.__name__}\("):
        interface_of(cls)


def test_the_error_for_a_channels_consumer_suggests_as_asgi() -> None:
    with pytest.raises(AmbiguousApp, match=r"Did you mean AsyncWebsocketConsumer\.as_asgi\(\)\?"):
        interface_of(channels.generic.websocket.AsyncWebsocketConsumer)


async def _async_wsgi(environ: Any, start_response: Any) -> None: ...


async def _async_view(request: Any) -> None: ...


async def _async_generator(scope: Any, receive: Any, send: Any) -> Any:
    yield b""


def _mixed_names(environ: Any, receive: Any) -> None: ...


def _too_many(environ: Any, start_response: Any, extra: Any) -> None: ...


def _too_few(receive: Any, send: Any) -> None: ...


def _keyword(environ: Any, start_response: Any, *, db: Any) -> None: ...


def _two_or_three(a: Any, b: Any, c: Any = None) -> None: ...


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (lambda *args: None, r"it takes \(\*args\)"),
        (lambda request: None, r"it takes \(request\)"),
        (_async_wsgi, r"it is async and takes \(environ, start_response\)"),
        (_async_view, r"it is async and takes \(request\)"),
        (_async_generator, "it is an async generator"),
        (_too_many, r"it takes \(environ, start_response, extra\)"),
        (_too_few, r"it takes \(receive, send\)"),
        (_keyword, "it cannot be called without the keyword 'db'"),
        (_two_or_three, r"it takes \(a, b, c=None\)"),
        (print, r"it takes \(\*(args|objects)"),
    ],
)
def test_the_error_for_an_ambiguous_app_shows_how_to_choose(app: object, message: str) -> None:
    with pytest.raises(AmbiguousApp, match=message) as caught:
        interface_of(app)
    text = str(caught.value)
    assert "WSGI apps take (environ, start_response), ASGI apps take (scope, receive, send)" in text
    assert "bridge.WsgiToAsgi(" in text
    assert '__bridge_interface__ = "wsgi"' in text


def test_with_names_of_both_interfaces_the_number_of_arguments_decides() -> None:
    assert interface_of(_mixed_names) == "wsgi"


def test_an_unbound_method_is_recognised() -> None:
    with pytest.raises(AmbiguousApp, match="did you mean the method of an instance"):
        interface_of(flask.Flask.wsgi_app)


async def _factory_coroutine() -> None: ...


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (types.ModuleType("site.wsgi"), "'site.wsgi' is a module"),
        ("main:app", "'main:app' is a string: import the app"),
        (None, "this builtins.NoneType object is not one"),
        (flask.Blueprint("b", "b"), "this flask.blueprints.Blueprint object is not one"),
        (
            mcp.server.mcpserver.MCPServer("m"),
            r"Did you mean app\.streamable_http_app\(\)\?",
        ),
    ],
    ids=_name,
)
def test_the_error_for_a_non_callable_names_its_kind(thing: object, message: str) -> None:
    with pytest.raises(AmbiguousApp, match=message):
        interface_of(thing)


class Dash:
    """As ``dash.Dash``: since Dash 4 it passes calls on to the app of its backend."""

    server = flask.Flask("x")


class CallableDash(Dash):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.server(*args, **kwargs)


@pytest.mark.parametrize("app", [Dash(), CallableDash()])
def test_the_error_names_the_server_of_a_dash_app(app: object) -> None:
    with pytest.raises(AmbiguousApp, match=r"Did you mean app\.server\?"):
        interface_of(app)


def test_a_coroutine_is_refused_and_closed() -> None:
    coroutine: Any = _factory_coroutine()
    with pytest.raises(AmbiguousApp, match="await the factory that returned it"):
        interface_of(coroutine)
    assert coroutine.cr_frame is None


def test_the_error_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        interface_of(42)


def test_a_callable_without_a_readable_signature_is_ambiguous() -> None:
    class Unreadable:
        __call__ = dict.update  # written in C, without a text signature

    with pytest.raises(AmbiguousApp, match="its signature cannot be read"):
        interface_of(Unreadable())


class _CallInSlot:
    """As ``SentryAsgiMiddleware``: each instance chooses what a call of it runs."""

    __slots__ = ("__call__",)

    def __init__(self, call: Any) -> None:
        self.__call__ = call


async def _asgi(scope: Any, receive: Any, send: Any) -> None: ...


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize(("call", "interface"), [(_asgi, "asgi"), (_wsgi, "wsgi")])
def test_a_call_that_each_instance_chooses_is_read(call: Any, interface: str) -> None:
    assert interface_of(_CallInSlot(call)) == interface
