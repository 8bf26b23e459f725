"""The arguments that name apps, and where each app is mounted."""

from __future__ import annotations

import pytest

from bridge.cli.options import RequestedApp, UsageError
from bridge.cli.targets import parse_targets
from bridge.types import Interface


@pytest.mark.parametrize(
    ("text", "prefix", "target"),
    [
        ("main:app", None, "main:app"),
        ("main.py", None, "main.py"),
        ("/=main:app", "", "main:app"),
        ("/api=main:app", "/api", "main:app"),
        ("/api/=main:app", "/api", "main:app"),
        ("/a/b=dir/main.py:app", "/a/b", "dir/main.py:app"),
        # Neither an absolute path nor an argument of a factory is a prefix.
        ("/srv/main.py", None, "/srv/main.py"),
        ("/srv/main.py:make(n=1)", None, "/srv/main.py:make(n=1)"),
        ("/api=/srv/main.py:make(n=1)", "/api", "/srv/main.py:make(n=1)"),
        ("main:make(n=1)", None, "main:make(n=1)"),
    ],
)
def test_a_prefix_ends_at_the_first_equals_sign(text: str, prefix: str | None, target: str) -> None:
    assert parse_targets([text]) == (RequestedApp(prefix=prefix, target=target),)
    if prefix is not None:
        assert parse_targets([], [text]) == (
            RequestedApp(prefix=prefix, target=target, websocket=True),
        )


def test_an_app_without_a_prefix_is_mounted_at_the_root() -> None:
    apps = parse_targets(["main:app", "/api=api:app"], ["/ws=chat:app", "other:app"])

    assert [(app.mount_path, app.websocket) for app in apps] == [
        ("/", False),
        ("/api", False),
        ("/ws", True),
        ("/", True),
    ]


def test_an_interface_is_given_for_all_apps_or_for_one() -> None:
    def interfaces(option: str) -> list[Interface | None]:
        apps = parse_targets(["a:app", "/b=b:app"], interfaces=[option])
        return [app.interface for app in apps]

    assert interfaces("wsgi") == ["wsgi", "wsgi"]
    assert interfaces("/b/=asgi") == [None, "asgi"]
    assert interfaces("/=asgi") == ["asgi", None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "no app given. Pass a target, for example main:app"),
        (
            (["a:app", "b:app"],),
            "a:app and b:app cannot both be mounted at /. Give each a prefix, for example: "
            "/=a:app /api=b:app",
        ),
        ((["/=a:app", "a:app"],), "a:app and a:app cannot both be mounted at /."),
        ((["/x=a:app", "/x/=b:app"],), "a:app and b:app cannot both be mounted at /x."),
        (
            ([], ["a:app", "b:app"]),
            "--websocket a:app and --websocket b:app cannot both be mounted at /. Give each a "
            "prefix, for example: --websocket /=a:app --websocket /api=b:app",
        ),
        ((["api=a:app"],), "api=a:app: a prefix starts with a slash, as in /api=a:app"),
        ((["/a//b=a:app"],), "no segment of it may be empty"),
        (([], ["/ws/*=a:app"]), "patterns are not supported"),
        ((["a:app"], [], ["rsgi"]), "--interface rsgi: expected wsgi or asgi, or one of them with"),
        ((["/a=a:app"], [], ["/b=wsgi"]), "no app is mounted at /b. Mounted: /a"),
    ],
)
def test_invalid_arguments_are_rejected(arguments: tuple[list[str], ...], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_targets(*arguments)

    assert message in str(raised.value)
