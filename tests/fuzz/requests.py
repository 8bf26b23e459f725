"""Makes HTTP/1.1 requests from seeds: ordinary ones with a few oddities, as bytes.

The same seed gives the same request on every version of Python and every machine. Each request is
followed on its connection by a well-formed one, :data:`SECOND`: what becomes of that shows where
the server believes the first to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

__all__ = ["MODES", "SECOND", "FuzzedRequest", "request_of"]

MODES = "lllllllcc0nne"
"""What the app does: it reads the body and responds with a Content-Length (``l``), without one
(``c``) or with 204 (``0``); responds without reading (``n``); or raises (``e``)."""

SECOND = b"/the-second-request"
"""The target of the request that follows."""


@dataclass(frozen=True)
class FuzzedRequest:
    """A request that may be malformed.

    :ivar line: the request line, without its line break.
    :ivar fields: the lines of the head after ``X-Through``, each with its line break.
    :ivar body: everything after the empty line.
    :ivar mode: what the app is to do: one of :data:`MODES`.
    """

    seed: int
    line: bytes
    fields: tuple[bytes, ...]
    body: bytes = b""
    mode: str = "l"

    @property
    def is_head(self) -> bool:
        """Whether its response has no body."""
        return self.line.startswith(b"HEAD ")

    @property
    def may_have_body(self) -> bool:
        """Whether a field announces a body, in whatever form."""
        fields = b"".join(self.fields).lower()
        return b"content-length" in fields or b"transfer-encoding" in fields

    @property
    def leaves_body(self) -> bool:
        """Whether the app may respond before the body has arrived."""
        return self.mode == "n" and self.may_have_body

    def raw(self, through: str, attempt: int = 0) -> bytes:
        """The bytes of this request and of the one that follows.

        :param through: one letter: the app that both go to.
        """
        routed = b"X-Through: " + self.id(through, attempt).encode()
        second = b"GET %b HTTP/1.1\r\n%b\r\nHost: h\r\nConnection: close\r\n\r\n" % (SECOND, routed)
        head = b"%b\r\n%b\r\n%b\r\n" % (self.line, routed, b"".join(self.fields))
        return head + self.body + second

    def id(self, through: str, attempt: int = 0) -> str:
        """The value of ``X-Through``. Its first letter is the only one that names the app."""
        return f"{through}{self.mode}{attempt}-{self.seed:08d}"

    def smaller(self) -> Iterator[FuzzedRequest]:
        """Simpler requests, one step each, to find out which part matters."""
        for index in range(len(self.fields)):
            yield replace(self, fields=self.fields[:index] + self.fields[index + 1 :])
        if self.mode != "l":
            yield replace(self, mode="l")
        if self.body:
            yield replace(self, body=b"")
            yield replace(self, body=self.body[: len(self.body) // 2])
        method, _, rest = self.line.partition(b" ")
        target, _, version = rest.rpartition(b" ")
        if method != b"GET":
            yield replace(self, line=b"GET " + rest)
        for cut in {len(target) // 2, len(target) - 1} if len(target) > 1 else set():
            yield replace(self, line=b"%b %b %b" % (method, target[:cut], version))


def request_of(seed: int) -> FuzzedRequest:
    """The request of a seed."""
    random = Random(seed)
    line = _request_line(random)
    body_fields, body = _body(random)
    fields = [*_hosts(random), *body_fields]
    odd = random.choices(_ODD_FIELDS, k=random.choice((0, 0, 1, 1, 2, 4)))
    fields += [make(random) for make in odd]
    random.shuffle(fields)
    return FuzzedRequest(seed, line, tuple(fields), body, random.choice(MODES))


# -- request lines ---------------------------------------------------------------------------------

_METHODS = (b"GET POST PUT HEAD OPTIONS DELETE PATCH TRACE PROPFIND M-SEARCH QUERY").split()
_ODD_METHODS = [*b"get gEt G@T CONNECT PRI X-$ GET\x00 G\xc9T".split(), b"A" * 300, b""]
_PIECES = (
    b"/ / / // a admin async files .. . %2e%2e %2f %2F %5c \\ ; = & ? ?x=1 ?? # %23 %3f http: "
    b"http:// :// //h @ : %00 %0a %0d%0a %1b %7f %85 %ff %c3%a9 %e2%80%a8 %zz % %u0041 + ~ * "
    b"%68ttp %3a%2f%2f caf\xc3\xa9 \xff \xe9 <> \" ' | ^ ` {} \x01 \x1b \x7f \x00 \t"
).split(b" ")
_PREFIXES = [
    *b"/ / / / / / / /async /async/ /admin // /% /%2f http://h/ http://h".split(),
    *b"http://h:80/async %68ttp://h/ https://u:p@h/x ftp://h/ //h/ /http://h/ *".split(),
    *(b"", b"/%0a2026-11-29 forged", b"/%0d%0aforged%1b]0;"),
]
_ODD_VERSIONS = b"HTTP/1.0 HTTP/1.0 HTTP/0.9 HTTP/2.0 HTTP/1.2 http/1.1 HTTP/1.1x HTTP/11 X".split()


def _request_line(random: Random) -> bytes:
    odd = random.random() < 0.06
    method = random.choice(_ODD_METHODS if odd else _METHODS)
    target = random.choice(_PREFIXES)
    if not target.startswith(b"*"):
        target += b"".join(random.choice(_PIECES) for _ in range(random.choice((0, 1, 2, 3, 6))))
    version = random.choice(_ODD_VERSIONS) if random.random() < 0.08 else b"HTTP/1.1"
    space = random.choice((b"  ", b"\t")) if random.random() < 0.02 else b" "
    return space.join((method, target, version))


# -- header fields ---------------------------------------------------------------------------------

_NAMES = (
    b"X-A x-a X_A Remote_User REMOTE-USER Proxy HTTP_PROXY X-Forwarded-For X-Forwarded-Proto "
    b"X_Forwarded_For Forwarded Script-Name SCRIPT_NAME Path-Info wsgi.input Cookie COOKIE Accept "
    b"Content-Type content_type Content_Length Transfer_Encoding Authorization Range If-None-Match "
    b"Https Auth-Type Server-Name Gateway-Interface X-\xc9 X(y) X@y X/y : X.y X!y"
).split()
_VALUES = (
    b"a",
    b"",
    b" ",
    b"a,b",
    b"a; b=c",
    b'"q, r"',
    b"\xe9",
    b"\xc3\xa9",
    b"\xff\xfe",
    b"%0d%0aX-Injected: 1",
    b"\x01",
    b"\x1b[2J",
    b"\x7f",
    b"a\x00b",
    b"a\tb",
    b"a\rb",
    b"bytes=0-1",
    b"text/html; charset=\xff",
)
_UPGRADES = (
    (b"websocket", b"Upgrade"),
    (b"WebSocket", b"keep-alive, Upgrade"),
    (b"websocket", b""),
    (b"h2c", b"Upgrade, HTTP2-Settings"),
    (b"websocket, h2c", b"upgrade"),
    (b"", b"upgrade"),
    (b" websocket\t", b"x,upgrade"),
    (b"TLS/1.0", b"Upgrade"),
)
_KEYS = (b"AAAAAAAAAAAAAAAAAAAAAA==", b"AAAAAAAAAAAAAAAAAAAAAA==", b"short", b"")
_VERSIONS = (b"13", b"13", b"8", b"", b"13, 8")
_PROTOCOLS = (b"chat", b",,", b"a, b", b"a b", b"\xe9", b"", b"a,a", b"a\x01")


def _line(name: bytes, value: bytes, random: Random | None = None) -> bytes:
    colon, end = b": ", b"\r\n"
    if random is not None and random.random() < 0.15:
        colon = random.choice((b":", b":  \t", b" : ", b":\t", b""))
    if random is not None and random.random() < 0.06:
        end = random.choice((b"\n", b" \t\r\n", b"\r\r\n", b"\r"))
    return name + colon + value + end


def _any(random: Random) -> bytes:
    return _line(random.choice(_NAMES), random.choice(_VALUES), random)


def _repeated(random: Random) -> bytes:
    name = random.choice((b"X-A", b"Cookie", b"Accept", b"X-Forwarded-For", b"Content-Type"))
    count = random.choice((2, 2, 3, 90, 110))
    return b"".join(_line(name, b"%d" % number) for number in range(count))


def _long(random: Random) -> bytes:
    size = random.choice((100, 300, 5000, 9000, 70_000))
    parts = (b"n" * size, b"v") if random.random() < 0.5 else (b"X-Long", b"v" * size)
    return _line(*parts)


def _folded(random: Random) -> bytes:
    return _line(b"X-Folded", random.choice((b"a\r\n b", b"a\r\n\tX: b", b"\r\n a", b"a\r\n \r\n")))


def _expect(random: Random) -> bytes:
    values = (b"100-continue", b"100-Continue", b" 100-continue ", b"200-ok", b"", b"100-continue,")
    return _line(b"Expect", random.choice(values), random)


def _connection(random: Random) -> bytes:
    values = (b"close", b"keep-alive", b"close, keep-alive", b"x-through", b"", b"host", b"Close")
    return _line(b"Connection", random.choice(values), random)


def _upgrade(random: Random) -> bytes:
    upgrade, connection = random.choice(_UPGRADES)
    lines = [
        _line(b"Upgrade", upgrade),
        _line(b"Connection", connection),
        _line(b"Sec-WebSocket-Key", random.choice(_KEYS)),
        _line(b"Sec-WebSocket-Version", random.choice(_VERSIONS)),
        _line(b"Sec-WebSocket-Protocol", random.choice(_PROTOCOLS)),
    ]
    return b"".join(random.sample(lines, random.choice((2, 4, 5, 5))))


def _junk(random: Random) -> bytes:
    lines = (b"no colon", b": no name", b" begins with a space: 1", b"\x00", b"\xff: \xff", b"X:1")
    return random.choice(lines) + b"\r\n"


_ODD_FIELDS: tuple[Callable[[Random], bytes], ...] = (
    *(_any, _any, _any, _any, _repeated, _repeated, _long, _folded),
    *(_expect, _connection, _upgrade, _upgrade, _junk),
)


def _hosts(random: Random) -> list[bytes]:
    if random.random() < 0.85:
        return [_line(b"Host", b"h")]
    choices: tuple[tuple[bytes, ...], ...] = (
        (),
        (b"h", b"h"),
        (b"h", b"other"),
        (b"",),
        (b"h, other",),
        (b"h/\x01",),
        (b"h:80", b"h:80 "),
        (b"u@h",),
        (b"[::1",),
        (b"h\xe9",),
    )
    return [_line(b"Host", value, random) for value in random.choice(choices)]


# -- bodies ----------------------------------------------------------------------------------------

_LENGTHS = (
    b"%d ",
    b" %d",
    b"+%d",
    b"-%d",
    b"%d,%d",
    b"%d, %d",
    b"0%d",
    b"0x%d",
    b"%d.0",
    b"%d_0",
    b"",
    b"\xb2",
    b"9" * 25,
    b"a",
)
_CODINGS = (
    *(b"chunked", b"Chunked", b" chunked\t", b"chunked, chunked", b"gzip, chunked", b"identity"),
    *(b"chunked, identity", b"xchunked", b"", b"chunked\x0b", b"identity, chunked", b'"chunked"'),
)
_BAD_CHUNKS = (
    b'5;ext="a\nb"\r\nhello\r\n0\r\n\r\n',
    b"5\nhello\n0\n\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"zz\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\nhello",
    b"5\r\nhello\r\n00\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5\r\nhel",
    b"5",
    b"",
)


def _body(random: Random) -> tuple[list[bytes], bytes]:
    """The fields that frame the body, and the body."""
    size = random.choice((0, 1, 5, 5, 100, 70_000))
    data = bytes(random.choices(b"abc\r\n 0", k=size))
    kind = random.random()
    if kind < 0.4:
        return [], b""
    if kind < 0.6:
        return [_line(b"Content-Length", b"%d" % size, random)], data
    if kind < 0.7:
        coding = random.choice(_CODINGS) if random.random() < 0.2 else b"chunked"
        return [_line(b"Transfer-Encoding", coding, random)], _chunks(random, data)
    if kind < 0.76:
        return [_line(b"Transfer-Encoding", b"chunked")], random.choice(_BAD_CHUNKS)
    if kind < 0.84:  # too short, or too long
        announced = max(0, size + random.choice((-5, -1, 1, 10, 10_000)))
        return [_line(b"Content-Length", b"%d" % announced)], data
    if kind < 0.92:
        length = random.choice(_LENGTHS)
        value = length % ((size,) * length.count(b"%")) if b"%" in length else length
        return [_line(b"Content-Length", value)], data
    if kind < 0.96:
        other = random.choice((size, size, size + 3))
        values = (b"%d" % size, b"%d" % other)
        return [_line(b"Content-Length", value, random) for value in values], data
    fields = [_line(b"Content-Length", b"5"), _line(b"Transfer-Encoding", random.choice(_CODINGS))]
    return fields, random.choice((b"hello", _chunks(random, b"hello"), b"0\r\n\r\n"))


def _chunks(random: Random, data: bytes) -> bytes:
    size = random.choice((1, 3, 1000, 100_000)) if len(data) < 1000 else 10_000
    extension = random.choice((b"", b"", b";x", b";x=y"))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join([*chunks, b"0\r\n\r\n"])
