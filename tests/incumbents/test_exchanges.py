"""The comparison finds each kind of difference; each is made here once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.harness.http import Response
from tests.incumbents.exchanges import Step, differences, visit

STEP = Step("/page")
PAGE = Response(
    200,
    (("server", "one"), ("content-type", "text/html"), ("content-length", "10")),
    b"a page\n\xff\x00.",
)


def found(other: Response, *varying: str) -> list[str]:
    return list(differences(STEP, PAGE, other, varying))


def with_headers(*lines: tuple[str, str]) -> Response:
    return Response(PAGE.status, lines, PAGE.body)


def test_equal_responses_have_no_differences() -> None:
    assert found(PAGE) == []


def test_headers_of_the_server_are_not_compared() -> None:
    assert found(with_headers(("server", "two"), ("date", "now"), *PAGE.headers[1:])) == []


def test_content_length_is_compared_where_both_have_it() -> None:
    chunked = with_headers(("transfer-encoding", "chunked"), PAGE.headers[1])
    longer = with_headers(PAGE.headers[1], ("content-length", "11"))

    assert found(chunked) == []
    assert len(found(longer)) == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Response(201, PAGE.headers, PAGE.body), "GET /page: status 201 instead of 200"),
        (with_headers(), "GET /page: no header ('content-type', 'text/html')"),
        (
            with_headers(*PAGE.headers, ("set-cookie", "a=1")),
            "GET /page: an additional header ('set-cookie', 'a=1')",
        ),
        (
            with_headers(*PAGE.headers, PAGE.headers[1]),
            "GET /page: an additional header ('content-type', 'text/html')",
        ),
        (
            Response(200, PAGE.headers, b"a page\n\xff\x01."),
            r"GET /page: the body is 'a page\nÿ\x01.' instead of 'a page\nÿ\x00.' at 8",
        ),
        (
            Response(200, PAGE.headers, PAGE.body[:-1]),
            r"GET /page: the body is 'a page\nÿ\x00' instead of 'a page\nÿ\x00.' at 9",
        ),
    ],
)
def test_a_difference_is_described(other: Response, message: str) -> None:
    assert found(other) == [message]


def test_what_varies_is_not_compared() -> None:
    other = Response(200, PAGE.headers, b"a sage\n\xff\x00.")

    assert found(other, r"(?<=a )\w+") == []
    assert found(other, r"(?<=the )\w+") != []


# -- a visit ---------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """Answers with what it received, and counts the requests of a session in a cookie."""

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        body = f"{self.path} {self.headers['cookie']} {self.rfile.read(size).decode()}".encode()
        self.send_response(200)
        self.send_header(
            "Set-Cookie", f"n={int((self.headers['cookie'] or 'n=0')[2:]) + 1}; Path=/"
        )
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_visit_keeps_cookies_and_what_a_step_keeps(port: int) -> None:
    steps = [
        Step("/first?token=abc", keep={"token": r"token=(\w+)"}),
        Step("/$token"),
        Step("/", "POST", form={"word": "$token & more"}),
    ]

    bodies = [response.body for response in visit(port, steps)]

    assert bodies == [
        b"/first?token=abc None ",
        b"/abc n=1 ",
        b"/ n=2 word=abc+%26+more",
    ]


def test_a_response_that_is_cut_off_is_marked(port: int) -> None:
    (response,) = visit(port, [Step("/cut")])

    assert response.body == b"/cut None (cut off)"


def test_a_step_that_finds_nothing_to_keep_fails(port: int) -> None:
    with pytest.raises(AssertionError, match="GET /: no 'token=' in"):
        visit(port, [Step("/", keep={"token": "token="})])
