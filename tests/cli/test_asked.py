"""Which apps a command line asks for, and where it puts them."""

from __future__ import annotations

import pytest

from bridge.cli.options import UsageError
from bridge.cli.targets import Asked, parse


@pytest.mark.parametrize(
    ("word", "prefix", "target"),
    [
        ("main:app", None, "main:app"),
        ("main.py", None, "main.py"),
        ("/=main:app", "", "main:app"),
        ("/api=main:app", "/api", "main:app"),
        ("/api/=main:app", "/api", "main:app"),
        ("/a/b=dir/main.py:app", "/a/b", "dir/main.py:app"),
        # An absolute path is no prefix, and what is in a factory's brackets is none either.
        ("/srv/main.py", None, "/srv/main.py"),
        ("/srv/main.py:make(n=1)", None, "/srv/main.py:make(n=1)"),
        ("/api=/srv/main.py:make(n=1)", "/api", "/srv/main.py:make(n=1)"),
        ("main:make(n=1)", None, "main:make(n=1)"),
    ],
)
def test_a_prefix_is_what_stands_before_the_first_equals_sign(
    word: str, prefix: str | None, target: str
) -> None:
    assert parse([word]) == (Asked(prefix=prefix, target=target),)
    if prefix is not None:
        assert parse([], [word]) == (Asked(prefix=prefix, target=target, websocket=True),)


def test_an_app_without_a_prefix_is_the_rest() -> None:
    asked = parse(["main:app", "/api=api:app"], ["/ws=chat:app", "other:app"])

    assert [(each.place, each.websocket) for each in asked] == [
        ("/", False),
        ("/api", False),
        ("/ws", True),
        ("/", True),
    ]


def test_an_interface_is_for_all_or_for_one() -> None:
    targets = ["a:app", "/b=b:app"]

    assert [each.interface for each in parse(targets, interfaces=["wsgi"])] == ["wsgi", "wsgi"]
    assert [each.interface for each in parse(targets, interfaces=["/b/=asgi"])] == [None, "asgi"]
    assert [each.interface for each in parse(targets, interfaces=["/=asgi"])] == ["asgi", None]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (([],), "which app? For example: main:app"),
        (
            (["a:app", "b:app"],),
            "a:app and b:app cannot both be at /. Say where each is mounted, for example: "
            "/=a:app /api=b:app",
        ),
        ((["/=a:app", "a:app"],), "a:app and a:app cannot both be at /."),
        ((["/x=a:app", "/x/=b:app"],), "a:app and b:app cannot both be at /x."),
        (
            ([], ["a:app", "b:app"]),
            "--websocket a:app and --websocket b:app cannot both be at /. Say where each is "
            "mounted, for example: --websocket /=a:app --websocket /api=b:app",
        ),
        ((["api=a:app"],), "api=a:app: a prefix begins with a slash, as in /api=a:app"),
        ((["/a//b=a:app"],), "no segment of it may be empty"),
        (([], ["/ws/*=a:app"]), "it is no pattern"),
        ((["a:app"], [], ["rsgi"]), "--interface rsgi: takes wsgi or asgi, or a prefix such as"),
        ((["/a=a:app"], [], ["/b=wsgi"]), "nothing is mounted there. There is: /a"),
    ],
)
def test_what_cannot_be_meant_is_told(words: tuple[list[str], ...], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(*words)

    assert says in str(refused.value)
