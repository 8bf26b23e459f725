"""Options are checked at construction. The error names the option, its value and what it takes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import bridge
from bridge import ConfigError, WsgiToAsgi


def app(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        ("threads", 0, "an int of 1 or more"),
        ("threads", "4", "an int of 1 or more"),
        ("threads", True, "an int of 1 or more"),
        ("backlog", -1, "an int of 1 or more"),
        ("body_window", 0, "an int of 1 or more"),
        ("buffer_request_bytes", -1, "an int of 0 or more"),
        ("buffer_request_bytes", True, "an int of 0 or more"),
        ("buffer_request_bytes", None, "an int of 0 or more"),
        ("body_timeout_s", 0, "None or a number above 0"),
        ("body_timeout_s", float("nan"), "None or a number above 0"),
        ("body_timeout_s", "60", "None or a number above 0"),
        ("wait_target_s", 0, "None or a number above 0"),
        ("wait_target_s", True, "None or a number above 0"),
        ("wait_target_s", "0.1", "None or a number above 0"),
        ("response_window", 1.5, "an int of 1 or more"),
        ("duplicate_header_limit", 0, "None or an int of 1 or more"),
        ("shutdown_timeout_s", 0, "a number above 0"),
        ("shutdown_timeout_s", float("nan"), "a number above 0"),
        ("underscore_headers", "dorp", "one of 'drop', 'keep', 'refuse'"),
        ("trusted_environ", {"REMOTE_USER": "x"}, "None or a callable"),
        ("strict", 1, "True or False"),
        ("strict", None, "True or False"),
        ("executor", 5, "None or a concurrent.futures.Executor"),
    ],
)
def test_the_error_names_the_option_its_value_and_what_is_allowed(
    option: str, value: object, takes: str
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigError) as raised:
        bridge.to_asgi(app, **options)
    assert str(raised.value).startswith(f"{option}={value!r}: expected {takes}")
    assert isinstance(raised.value, ValueError)


def test_a_process_pool_is_refused() -> None:
    with ProcessPoolExecutor(1) as executor, pytest.raises(ConfigError, match="processes"):
        WsgiToAsgi(app, executor=executor)


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        WsgiToAsgi(app, 40)  # type: ignore[call-arg]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        ("websockets", "on", "one of 'auto', 'off'"),
        ("websockets", True, "one of 'auto', 'off'"),
        ("max_message_bytes", 0, "an int of 1 or more"),
        ("max_message_bytes", None, "an int of 1 or more"),
        ("ping_interval_s", 0, "None or a number above 0"),
        ("ping_timeout_s", None, "a number above 0"),
        ("close_timeout_s", -1, "a number above 0"),
        ("per_message_deflate", "no", "True or False"),
        ("websocket_origins", "https://example.org", "None or a list of origins"),
        ("websocket_origins", ["example.org"], "None or a list of origins"),
        ("websocket_origins", ["https://example.org/"], "None or a list of origins"),
        ("websocket_origins", [b"https://example.org"], "None or a list of origins"),
    ],
)
@pytest.mark.parametrize("adapt", [bridge.to_wsgi, bridge.universal, bridge.AsgiToWsgi])
def test_an_option_for_websockets_is_checked(
    adapt: Any, option: str, value: object, takes: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        adapt(asgi_app, **{option: value})
    assert str(raised.value).startswith(f"{option}={value!r}: expected {takes}")


def test_origins_are_compared_in_lower_case_as_browsers_send_them() -> None:
    options = bridge.AsgiToWsgi(asgi_app, websocket_origins=["https://Example.org", "null"]).options

    assert options.websocket_origins == ("https://example.org", "null")


@pytest.mark.parametrize("wrapped", [app, asgi_app])
@pytest.mark.parametrize("adapt", [bridge.to_asgi, bridge.to_wsgi, bridge.universal])
def test_an_unknown_option_is_named_with_a_similar_one(adapt: Any, wrapped: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        adapt(wrapped, bdy_window=1)

    assert str(raised.value).startswith("bdy_window=1: expected no value: there is no such option")
    assert "Did you mean 'body_window'?" in str(raised.value)


@pytest.mark.parametrize(
    ("adapt", "option", "of"),
    [(bridge.to_wsgi, "threads", "to_asgi"), (bridge.to_asgi, "task_timeout_s", "to_wsgi")],
)
@pytest.mark.parametrize("wrapped", [app, asgi_app])
def test_an_option_of_the_other_adapter_is_refused(
    adapt: Any, option: str, of: str, wrapped: Any
) -> None:
    with pytest.raises(ConfigError, match=f"{option}=4: .* It is an option of {of}"):
        adapt(wrapped, **{option: 4})


@pytest.mark.parametrize(
    ("adapt", "unchanged"), [(bridge.to_asgi, asgi_app), (bridge.to_wsgi, app)]
)
def test_the_values_of_options_are_checked_for_an_app_that_is_returned_unchanged(
    adapt: Any, unchanged: Any
) -> None:
    with pytest.raises(ConfigError, match="response_window=0: expected an int of 1 or more"):
        adapt(unchanged, response_window=0)

    assert adapt(unchanged, response_window=1) is unchanged
