"""Event streams: responses that stay open for as long as their client does.

Input: a project. Output: an :class:`EventStream` for each response of type ``text/event-stream``,
and for each response that streams an endless generator.

1. The type is enough: such a response is a stream unless its content is shown to be whole. Where it
   comes from (``subscribe()`` of a Redis client, say) is usually not in the project.
2. The type counts wherever it is set: as an argument, in the headers, on the response afterwards,
   through a constant or by a class or function of the project, which is reported where it is used.
3. A stream holds a thread for each open client, unless its content is an async iterator.
4. Responses of ASGI frameworks hold none and are not reported; requests to other servers and
   comparisons with the type are no responses.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.functions import (
    assigned_values,
    calls_of,
    function_of,
    imports_any,
    is_test,
    nodes_in,
)
from bridge.migrate.literals import evaluate
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.streaming import (
    STREAM_WITH_CONTEXT,
    STREAMING_RESPONSES,
    Content,
    content_argument,
    content_of,
)
from bridge.migrate.text import CannotRead

__all__ = ["STREAM_GRACE_S", "EventStream", "event_streams", "streams_holding_threads"]

STREAM_GRACE_S = 30
"""Seconds that open streams get at shutdown: as with gunicorn, which waits no longer."""

_EVENTS = "text/event-stream"
_TYPE_ARGUMENTS = ("mimetype", "content_type", "media_type")
_TYPE_ATTRIBUTES = (*_TYPE_ARGUMENTS, "default_mimetype")
_SETTERS = ("set", "add", "add_header", "setdefault", "__setitem__")
_WHOLE_BODIES = ("django.http.HttpResponse", "django.http.response.HttpResponse")
_CLIENTS = ("requests", "httpx", "aiohttp", "urllib", "urllib3", "http")
_CLIENT_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "request", "open")
_ASGI = ("starlette", "fastapi", "quart", "sanic", "aiohttp", "sse_starlette", "litestar")
_FLASK_SSE = "flask_sse.sse"
_STREAMING = (
    *("flask.Response", "flask.wrappers.Response"),
    *("werkzeug.Response", "werkzeug.wrappers.Response"),
    *STREAM_WITH_CONTEXT,
    *STREAMING_RESPONSES,
)
_STREAMING_TEXTS = ("stream_with_context", "StreamingHttpResponse", "flask_sse")
_LOOPS = ("while True", "while 1", ".listen(", "itertools")


@dataclass(frozen=True)
class EventStream:
    """One response that stays open.

    :ivar node: the call that makes it, else the place where its type is set.
    :ivar framework: ``django`` or ``flask``, which stands for every other WSGI framework.
    :ivar view: the name of the function that makes it; empty outside of functions.
    :ivar place: as ``shop/views.py:12 events``.
    :ivar content: what is streamed; None if it is not known.
    :ivar is_events: whether it has the type; False for another endless generator.
    """

    module: Module
    node: cst.CSTNode
    framework: str
    view: str
    place: str
    content: Content | None
    is_events: bool

    @property
    def holds_thread(self) -> bool:
        """Whether each open client holds a worker thread."""
        return self.content is None or not self.content.is_async

    @property
    def is_endless(self) -> bool:
        """Whether its generator evidently has no end."""
        return self.content is not None and self.content.is_endless

    @property
    def description(self) -> str:
        return "its content" if self.content is None else self.content.description


def event_streams(project: Project) -> list[EventStream]:
    """All of them, by module and line."""
    constants = _constants(project)
    found: dict[int, EventStream] = {}
    for module in _modules(project, constants):
        for each in _streams_in(module, project, constants):
            if not _is_unrouted(project, each):
                found.setdefault(id(each.node), each)
    outer = [each for each in found.values() if not _is_inside(each, found)]
    return sorted(outer, key=lambda each: (each.module.path, each.module.position(each.node)))


def _is_unrouted(project: Project, stream: EventStream) -> bool:
    """Whether it is a view that only URLconfs name, and that no URL leads to.

    As with ``if settings.DEBUG: urlpatterns += ...``, in the settings that were introspected.
    """
    routed = project.facts.views if project.facts is not None else ()
    name = stream.view.partition(".")[0]
    if not routed or not name or stream.framework != "django":
        return False
    path = str(stream.module.path)
    if any(view.file == path or view.name.endswith(f".{name}") for view in routed):
        return False
    users = [each for each in project.containing(name) if each is not stream.module]
    return bool(users) and all(each.path.name == "urls.py" for each in users)


def _is_inside(stream: EventStream, others: Container[int]) -> bool:
    """Whether its call is an argument of another one: ``Response(stream_with_context(...))``."""
    return any(id(above) in others for above in stream.module.ancestors(stream.node))


def streams_holding_threads(project: Project) -> list[EventStream]:
    """Those that hold a thread for each open client: their threads serve no other request."""
    return [each for each in event_streams(project) if each.holds_thread]


def _modules(project: Project, constants: Sequence[str]) -> Iterator[Module]:
    """The modules that may make one: only these are parsed."""
    texts = (_EVENTS, *_STREAMING_TEXTS, *(name.rpartition(".")[2] for name in constants))
    for module in project.modules:
        try:
            if not is_test(module) and _may_stream(module.text, texts):
                _ = module.tree
                yield module
        except CannotRead:
            continue  # the report names it: see Module.failure


def _may_stream(text: str, texts: Sequence[str]) -> bool:
    if any(each in text for each in texts):
        return True
    return "Response(" in text and any(each in text for each in _LOOPS)


def _streams_in(
    module: Module, project: Project, constants: Sequence[str]
) -> Iterator[EventStream]:
    for value in _values(module, constants):
        for each in _responses(module, project, value):
            stream = _stream(project, each, is_events=True)
            if stream is not None:
                yield stream
    for call in module.nodes(cst.Call):
        if any(module.qualified(each.value) == _FLASK_SSE for each in call.args):
            place = f"{_line(module, project, call)} sse of flask_sse"
            content = Content("the blueprint of flask_sse", is_endless=True)
            yield EventStream(module, call, "flask", "", place, content, is_events=True)
        elif module.qualified(call) in _STREAMING:
            response = _Response(module, call, content_argument(call))
            stream = _stream(project, response, is_events=False)
            if stream is not None and stream.is_endless:
                yield stream


def _stream(project: Project, response: _Response, *, is_events: bool) -> EventStream | None:
    """The stream of a response; None if its content is whole, or its framework is for ASGI."""
    module, node = response.module, response.node
    name = (module.qualified(node) or "") if isinstance(node, cst.Call) else ""
    is_flask = imports_any(module, "flask", "werkzeug")
    is_django = imports_any(module, "django", "rest_framework")
    if name in _WHOLE_BODIES or name.partition(".")[0] in _ASGI:
        return None
    if imports_any(module, *_ASGI) and not (is_flask or is_django):
        return None
    given = response.content
    content = content_of(module, project, given) if given is not None else None
    if content is not None and content.is_whole:
        return None
    view = _view_name(module, node)
    place = f"{_line(module, project, node)}{f' {view}' if view else ''}"
    framework = "django" if is_django or (project.is_django and not is_flask) else "flask"
    return EventStream(module, node, framework, view, place, content, is_events)


def _line(module: Module, project: Project, node: cst.CSTNode) -> str:
    return f"{project.shown(module.path)}:{module.position(node)[0]}"


def _view_name(module: Module, node: cst.CSTNode) -> str:
    """The outermost function around a node, or ``Class.method``; empty outside of both."""
    around = [
        each for each in module.ancestors(node) if isinstance(each, cst.FunctionDef | cst.ClassDef)
    ]
    names = [each.name.value for each in around[::-1]]
    is_method = bool(around) and isinstance(around[-1], cst.ClassDef)
    return ".".join(names[: 2 if is_method else 1])


# -- the type --------------------------------------------------------------------------------------


def _is_events(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleString() | cst.ConcatenatedString():
            value = node.evaluated_value
            return isinstance(value, str) and value.lower().startswith(_EVENTS)
        case cst.FormattedString(parts=[cst.FormattedStringText(value=text), *_]):
            return text.lower().startswith(_EVENTS)
        case _:
            return False


def _constants(project: Project) -> list[str]:
    """The names of module-level constants with the type, as ``shop.sse.TYPE``."""
    found: list[str] = []
    for module in project.containing(_EVENTS):
        for node in module.nodes(cst.Assign):
            target = node.targets[0].target
            is_top = module.enclosing(node, cst.FunctionDef, cst.ClassDef) is None
            if is_top and isinstance(target, cst.Name) and _is_events(node.value):
                found.append(f"{module.name}.{target.value}")
    return found


def _values(module: Module, constants: Sequence[str]) -> Iterator[cst.BaseExpression]:
    """The expressions whose value is the type."""
    kinds: tuple[type[cst.BaseExpression], ...] = (cst.SimpleString, cst.FormattedString)
    for kind in kinds:
        yield from (each for each in module.nodes(kind) if _is_events(each))
    names: list[cst.Name | cst.Attribute] = []
    if constants:
        names = [*module.nodes(cst.Name), *module.nodes(cst.Attribute)]
    for node in names:
        name = module.qualified(node)
        if name in constants or f"{module.name}.{name}" in constants:
            yield node


# -- the response ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Response:
    """A call or ``return`` that makes a response, or the place where one gets its type.

    :ivar content: the expression that is streamed, if it is there.
    """

    module: Module
    node: cst.CSTNode
    content: cst.BaseExpression | None


def _responses(module: Module, project: Project, value: cst.CSTNode) -> Iterator[_Response]:
    """The responses of the type that a value sets; of a wrapper, those that its callers make."""
    node = _response_at(module, value)
    if node is None:
        return
    wrapper = _wrapper_of(module, node)
    calls = list(_calls_of(module, project, wrapper)) if wrapper is not None else []
    if calls or isinstance(node, cst.ClassDef):
        yield from calls
    else:
        yield _Response(module, node, _content_argument(node))


def _response_at(module: Module, value: cst.CSTNode) -> cst.CSTNode | None:
    """What a value sets the type of: a call, a ``return``, a class; None if it sets none."""
    parent = module.parent(value)
    while isinstance(parent, cst.IfExp | cst.BooleanOperation | cst.ConcatenatedString):
        value, parent = parent, module.parent(parent)
    match parent:
        case cst.Arg():
            return _at_argument(module, parent)
        case cst.DictElement(key=key) if _is_type_key(key):
            return _at_headers(module, module.parent(parent))
        case cst.Element():
            pair = module.parent(parent)
            match pair:
                case cst.Tuple(elements=[cst.Element(value=key), _]) if _is_type_key(key):
                    return _at_headers(module, pair)
            return None
        case cst.Assign(targets=[cst.AssignTarget(target=target), *_]):
            return _at_assignment(module, parent, target)
        case cst.AnnAssign(target=cst.Name(value=name)) if name in _TYPE_ATTRIBUTES:
            return module.enclosing(parent, cst.ClassDef)
        case _:
            return None


def _is_type_key(key: cst.CSTNode) -> bool:
    value = evaluate(key) if isinstance(key, cst.BaseExpression) else None
    return isinstance(value, str) and value.lower().replace("_", "-") == "content-type"


def _at_argument(module: Module, argument: cst.Arg) -> cst.CSTNode | None:
    call = module.parent(argument)
    if not isinstance(call, cst.Call) or _is_request(module, call):
        return None
    if argument.keyword is not None:
        return call if argument.keyword.value in _TYPE_ARGUMENTS else None
    match call:
        case cst.Call(
            func=cst.Attribute(value=target, attr=cst.Name(value=name)), args=[first, *_]
        ) if name in _SETTERS and first is not argument and _is_type_key(first.value):
            return _made(module, call, target)
    name = (module.qualified(call) or "").rpartition(".")[2].lower()
    is_response = "response" in name and call.args and argument is not call.args[0]
    return call if is_response else None


def _is_request(module: Module, call: cst.Call) -> bool:
    """Whether a call sends a request, to another server or in a test."""
    name = module.qualified(call) or ""
    if name.partition(".")[0] in _CLIENTS:
        return True
    return isinstance(call.func, cst.Attribute) and call.func.attr.value in _CLIENT_METHODS


def _at_headers(module: Module, headers: cst.CSTNode | None) -> cst.CSTNode | None:
    """The call or ``return`` that takes a dictionary or a pair of headers."""
    for above in module.ancestors(headers) if headers is not None else ():
        match above:
            case cst.Call():
                if _is_request(module, above):
                    return None
                is_update = isinstance(above.func, cst.Attribute) and above.func.attr.value in (
                    "update",
                    "extend",
                )
                if is_update and isinstance(above.func, cst.Attribute):
                    return _made(module, above, above.func.value)
                return above
            case cst.Return():
                return above
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name)), *_]):
                return _user_of(module, above, name)
            case cst.FunctionDef() | cst.ClassDef():
                return None
    return None


def _user_of(module: Module, assign: cst.CSTNode, name: str) -> cst.CSTNode | None:
    """The call or ``return`` that uses a variable with headers."""
    function = function_of(module, assign)
    names = module.nodes(cst.Name) if function is None else nodes_in(module, function, cst.Name)
    for node in names:
        if isinstance(node, cst.Name) and node.value == name:
            for above in module.ancestors(node):
                if isinstance(above, cst.Call | cst.Return):
                    is_other = isinstance(above, cst.Call) and _is_request(module, above)
                    return None if is_other else above
                if isinstance(above, cst.Assign | cst.FunctionDef):
                    break
    return None


def _at_assignment(module: Module, assign: cst.Assign, target: cst.CSTNode) -> cst.CSTNode | None:
    match target:
        case cst.Subscript(
            value=owner, slice=[cst.SubscriptElement(slice=cst.Index(value=key))]
        ) if _is_type_key(key):
            return _made(module, assign, owner)
        case cst.Attribute(value=owner, attr=cst.Name(value=name)) if name in _TYPE_ATTRIBUTES:
            return _made(module, assign, owner)
        case cst.Name(value=name) if name in _TYPE_ATTRIBUTES:
            return module.enclosing(assign, cst.ClassDef)
        case _:
            return None


def _made(module: Module, node: cst.CSTNode, owner: cst.CSTNode) -> cst.CSTNode:
    """The call that made the response which ``owner`` is, or has as ``owner.headers``."""
    if isinstance(owner, cst.Attribute) and owner.attr.value == "headers":
        owner = owner.value
    function = function_of(module, node)
    if isinstance(owner, cst.Name) and function is not None:
        values = assigned_values(module, function, owner.value) or []
        if len(values) == 1 and isinstance(values[0], cst.Call):
            return values[0]
    return node


def _content_argument(response: cst.CSTNode) -> cst.BaseExpression | None:
    match response:
        case cst.Call():
            return content_argument(response)
        case cst.Return(value=cst.Tuple(elements=[cst.Element(value=first), *_])):
            return first
        case _:
            return None


# -- wrappers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wrapper:
    """A class or function that makes a response of content that it is given.

    :ivar position: of the parameter for the content, from 0.
    :ivar parameter: its name; empty if it is not known, as in a class without ``__init__``.
    """

    name: str
    position: int = 0
    parameter: str = ""


def _wrapper_of(module: Module, response: cst.CSTNode) -> _Wrapper | None:
    if isinstance(response, cst.ClassDef):
        return _Wrapper(response.name.value)
    function = module.enclosing(response, cst.FunctionDef)
    content = _content_argument(response)
    if not isinstance(function, cst.FunctionDef) or not isinstance(content, cst.Name):
        return None
    given = [each.name.value for each in function.params.params]
    if content.value not in given:
        return None
    position = given.index(content.value)
    cls = module.enclosing(function, cst.ClassDef)
    if cls is None:
        return _Wrapper(function.name.value, position, content.value)
    if isinstance(cls, cst.ClassDef) and function.name.value == "__init__":
        return _Wrapper(cls.name.value, position - 1, content.value)
    return None


def _calls_of(module: Module, project: Project, wrapper: _Wrapper) -> Iterator[_Response]:
    """The calls of a wrapper at the top level of a module, in the whole project."""
    if project.defined_in(module.path, wrapper.name) is None:
        return
    for caller, call in calls_of(module, project, wrapper.name):
        yield _Response(caller, call, _given_to(call, wrapper))


def _given_to(call: cst.Call, wrapper: _Wrapper) -> cst.BaseExpression | None:
    """The content that a call gives to a wrapper."""
    for position, each in enumerate(call.args):
        if each.keyword is None and position == wrapper.position and not each.star:
            return each.value
        if each.keyword is not None and each.keyword.value == wrapper.parameter:
            return each.value
    return None
