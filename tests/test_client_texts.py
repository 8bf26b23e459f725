"""Nothing that a client has sent gets into a log or a message as it is.

The source of every module is parsed, not run. Each value in a log call, and each one in an f-string
of a module that sees requests, passes through :mod:`bridge._http.client_text`, or is listed here
because no client can choose it. So a new value fails a test until somebody has decided.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge

PACKAGE = Path(bridge.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

LOG_METHODS = {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log"}
SAFE = {"ClientText", "literal", "one_line"}

LOGGED = {
    "_lifespan/many.py": {"error", "later"},
    "_lifespan/runner.py": {"app_name(self._app)", "error", "self._late_failure"},
    "_lifespan/shared.py": {"error"},
    "_repeated_log.py": {"*args", "message"},  # those of the calls of its methods
    "_threads/health.py": {"callback", "reason"},
    "_threads/loop_thread.py": {"STALL_S", "error", "self.stack()", "task"},
    "_threads/pool.py": {"', '.join(running)", "EXIT_JOIN_S", "pool.name"},
    "_threads/process.py": {"stage.name"},
    "_threads/restart.py": {"VARIABLE", "found.name", "found.number.name", "found.pid"},
    "_threads/thread_supply.py": {"pool", "threads"},
    "asgi_to_wsgi/loop_side.py": {"kind", "self._app.name"},
    "asgi_to_wsgi/outcome.py": {"error", "name", "outcome.timed_out_s", "when"},
    "asgi_to_wsgi/request_body.py": {"error"},
    "asgi_to_wsgi/sync_code_watch.py": {"self._limit_s", "self._name", "thread_stack(ident)"},
    "asgi_to_wsgi/time_limit.py": {"_stack(app, loop_side)", "app.name", "limit_s"},
    "asgi_to_wsgi/running_app.py": {
        "app.name",
        "error",
        "len(late)",
        "self._grace_s",
        "self.name",
        "self.options.shutdown_timeout_s",
        "self.thread.stack()",
    },
    "asgi_to_wsgi/thread_side.py": {"self._app.name"},
    "asgi_to_wsgi/websocket/serve.py": {"why"},
    "asgi_to_wsgi/websocket/session.py": {"error", "name", "path"},
    "cli/control/spec.py": {"error"},
    "cli/replacement.py": {"os.getpid()", "self.limit"},
    "cli/servers/waitress.py": {"dispatcher.active_count", "grace_s"},
    "metrics/listener.py": {"PATH", "error", "host", "port"},
    "contrib/django/application.py": {
        "len(links)",
        "reason",
        "self.adapter.options.threads",
        "thread_hops((link.describe() for link in links))",
        "view",
    },
    "contrib/django/choice.py": {"MAX_URLCONFS"},
    "contrib/django/routes.py": {"resolver.urlconf_name"},
    "router/asgi_side.py": {"reason"},
    "router/server_threads.py": {"full.name"},
    "sync/calls.py": {"self._func"},
    "sync/iterate_threads.py": {"self._iterable"},
    "wsgi_to_asgi/adapter.py": {
        "app",
        "error",
        "pool.stats().running",
        "self.options.shutdown_timeout_s",
    },
    "wsgi_to_asgi/loop_side.py": {"error"},
    "wsgi_to_asgi/rests.py": {"len(left)"},
    "wsgi_to_asgi/spool.py": {"error"},
    "wsgi_to_asgi/thread_side.py": {
        "error",
        "self._app",
        "self.require_head().content_length",
    },
    "wsgi_to_asgi/time_limits.py": {"limit_s", "pool.executor", "stack"},
    "wsgi_to_asgi/websocket.py": {"error", "self._slots.taken"},
}
"""What log calls may format as it is: names, numbers and options of bridge and of the app, and
errors, which are bridge's own, or are formatted with ``%r``."""

SEE_REQUESTS = (
    "_frameworks/django_request",
    "_http/",
    "asgi_to_wsgi/",
    "contrib/django/",
    "router/",
    "wsgi_to_asgi/",
)
IN_MESSAGES = {
    "_http/client_text.py": {"length", "shown"},
    "_http/messages.py": {
        "_event(message)",
        "_shape(message)",
        "allowed",
        "flag",
        "kind",
        "self.name",
        "sender",
        "state",
        "where",
    },
    "_http/forwarded.py": {  # the host is matched first
        "_PAIR_TEXT",
        "_QUOTED",
        "_TOKEN",
        "host['name']",
        "report.server_port",
    },
    "_http/paths.py": {"root"},
    "_http/response_heads.py": {
        "_CLASSES.get(code // 100, 'Unknown')",
        "_NO_CONTROL",
        "_TOKEN_CHARACTERS",
        "_kind(status)",
        "_shape(item)",
        "code",
        "kind",
        "len(item)",
        "length",
        "message['type']",
        "seen",
        "status.phrase",
        "status.value",
        "type(headers).__name__",
        "type(raw_name).__name__",
        "type(raw_value).__name__",
        "type(response_headers).__name__",
        "type(value).__name__",
        "where",
    },
    "_http/rules.py": {"left", "size"},
    "_http/scope_to_environ.py": {
        "_SINGLE[key]",
        "__version__",
        "cipher",
        "error",
        "len(lines)",
        "number - 1",
        "query",
        "limit",
        "type(value).__name__",
        "uri",
        "version",
    },
    "_http/silent.py": {"len(self.mapping)"},
    "_http/websocket_handshake.py": {"name", "status", "value"},
    "asgi_to_wsgi/adapter.py": {"running.name", "self.app"},
    "asgi_to_wsgi/loop_side.py": {
        "app.name",
        "kind",
        "message['type']",
        "self._app.name",
        "self._state",
        "type(body).__name__",
        "window",
    },
    "asgi_to_wsgi/outcome.py": {
        "HTTP_RESPONSE.name",
        "error",
        "name",
        "option",
        "outcome.name",
        "outcome.state",
        "outcome.timed_out_s",
        "type(error).__name__",
        "where",
    },
    "asgi_to_wsgi/running_app.py": {
        "self.name",
        "self.options.startup_timeout_s",
        "self.thread.stack()",
    },
    "asgi_to_wsgi/response_file.py": {"length - size"},
    "asgi_to_wsgi/sync_code_watch.py": {"self._limit_s", "self._name"},
    "asgi_to_wsgi/thread_side.py": {"app.name"},
    "asgi_to_wsgi/websocket/connection.py": {
        "error",
        "error.reason",
        "error.start",
        "len(reason.encode())",
    },
    "asgi_to_wsgi/websocket/denial.py": {"type(body).__name__"},
    "asgi_to_wsgi/websocket/serve.py": {
        "NO_SOCKET.format(server=server_name(environ))",
        "error",
        "limits.limit()",
    },
    "asgi_to_wsgi/websocket/session.py": {
        "key",
        "kinds",
        "state",
        "type(code).__name__",
        "type(reason).__name__",
        "type(message.get(key)).__name__",
    },
    "contrib/django/__init__.py": {"error", "error.name", "module"},
    "contrib/django/application.py": {"self._websocket", "settings.SETTINGS_MODULE"},
    "contrib/django/chain.py": {"link.name", "reason"},
    "contrib/django/thread_holders.py": {"view.__module__", "view.__qualname__"},
    "router/asgi_side.py": {"app_name(place.app)", "at"},
    "router/limits.py": {"place.bulkhead", "shown(place.prefix)"},
    "router/mount.py": {"name", "shown_options", "type(self).__name__", "value"},
    "router/mounts.py": {
        "app_name(app)",
        "app_name(other)",
        "error",
        "hint",
        "option",
        "protocol",
        "shown(prefix)",
        "shown(self.prefix)",
        "text",
    },
    "router/options.py": {"prefix"},
    "_http/prefixes.py": {"_ALLOWED", "mistake"},
    "router/router.py": {
        "_shown(m)",
        "app.label",
        "error",
        "known",
        "mounted",
        "prefix or '/'",
        "type(self).__name__",
    },
    "router/server_threads.py": {"path"},
    "wsgi_to_asgi/adapter.py": {"error.name", "self.app"},
    "wsgi_to_asgi/bodies.py": {"hint", "type(chunk).__name__"},
    "wsgi_to_asgi/limited_pool.py": {"limit.threads", "most", "other", "path"},
    "wsgi_to_asgi/loop_side.py": {"self._declared", "self.received"},
    "wsgi_to_asgi/request_buffer.py": {
        "len(self._filling)",
        "self._backlog",
        "self._threads or 'unknown'",
    },
    "wsgi_to_asgi/thread_side.py": {
        "head.content_length",
        "kind.__name__",
        "length",
        "self._proposed.status",
        "type(chunks).__name__",
    },
    "wsgi_to_asgi/time_limits.py": {
        "queue.name",
        "limit_s",
        "pool.name",
        "pool.stats().lost",
        "wait_s",
    },
    "wsgi_to_asgi/websocket.py": {"error"},
}
"""What f-strings of these modules may contain as it is: the same, parts of the environ, and texts
that are assembled of such f-strings."""


def logged_values(tree: ast.AST) -> Iterator[str]:
    """The values in log calls, as source, other than those that are escaped.

    Where the format is no constant, it is such a value.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _name_of(node.func) not in LOG_METHODS:
            continue
        has_level = _name_of(node.func) == "log"
        formats, values = node.args[:1], node.args[1:]
        if has_level:
            formats, values = node.args[1:2], node.args[2:]
        yield from (ast.unparse(each) for each in formats if not _is_text(each))
        yield from (ast.unparse(each) for each in values if not _is_safe(each))


def values_in_messages(tree: ast.AST) -> Iterator[str]:
    """The values in f-strings, and in ``%`` and ``format()`` of a text, as source, likewise."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and not _is_safe(node.value):
            yield ast.unparse(node.value)
        elif _formats(node):
            yield ast.unparse(node)


def _formats(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod) and _is_text(node.left)
    return isinstance(node, ast.Call) and _name_of(node.func) == "format"


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_safe(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name_of(node.func) in SAFE


def parse(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text("utf-8"))


def test_every_value_in_a_log_call_is_escaped_or_listed() -> None:
    found = {module: set(logged_values(parse(module))) for module in MODULES}

    assert {module: values for module, values in found.items() if values} == LOGGED


def test_every_value_in_a_message_is_escaped_or_listed() -> None:
    found = {
        module: set(values_in_messages(parse(module)))
        for module in MODULES
        if module.startswith(SEE_REQUESTS)
    }

    assert {module: values for module, values in found.items() if values} == IN_MESSAGES


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("logger.warning('503 for %s', ClientText(scope['path']))", []),
        ("logger.warning('503 for %s', scope['path'])", ["scope['path']"]),
        ("logging.getLogger('bridge').info('%s %s', ClientText(a), b)", ["b"]),
        ("self._log.log(level, 'for %s', path)", ["path"]),
        ("logger.error(f'for {path}')", ["f'for {path}'"]),
        ("logger.error('for ' + path)", ["'for ' + path"]),
        ("logger.exception('failed', exc_info=error)", []),
        ("warnings.warn(text, stacklevel=2)", ["text"]),
    ],
)
def test_the_values_of_a_log_call_are_found(source: str, values: list[str]) -> None:
    assert list(logged_values(ast.parse(source))) == values


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("BadRequest(f'{literal(name)} has an underscore')", []),
        ("BadRequest(f'{name!r} has an underscore')", ["name"]),
        ("BadRequest('%s has an underscore' % name)", ["'%s has an underscore' % name"]),
        ("BadRequest('{}'.format(name))", ["'{}'.format(name)"]),
        ("b'%d' % length", []),
    ],
)
def test_the_values_of_a_message_are_found(source: str, values: list[str]) -> None:
    assert list(values_in_messages(ast.parse(source))) == values
