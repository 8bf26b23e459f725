"""What trusted proxies report of a request, and what a client cannot make them report."""

from __future__ import annotations

from typing import Any

import pytest

from bridge._http.forwarded import FORWARDED, X_FORWARDED, Report, Trusted, read_report

TRUSTED = Trusted.parse(("10.0.0.0/8", "2001:db8:1::/48", "unix"))


def read(*headers: str, scheme: str = "http", host: str = "proxy:8000", **fields: str) -> Report:
    """The report of these fields, whose names have underscores, if only ``headers`` are read."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    believed = frozenset(headers or named)
    return read_report(named, believed, TRUSTED, scheme, host)


# -- who is trusted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "is_trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),  # an IPv4 peer of a dual-stack socket
        ("11.0.0.1", False),
        ("2001:db8:1::5", True),
        ("2001:0DB8:0001::0005", True),
        ("2001:db8:2::5", False),
        ("", False),
        ("localhost", False),
        ("10.1.2.3 ", False),
        (None, True),
    ],
)
def test_addresses_are_compared_as_addresses(peer: str | None, is_trusted: bool) -> None:
    assert TRUSTED.trusts_peer(peer) is is_trusted


def test_unix_sockets_are_trusted_only_by_name() -> None:
    assert not Trusted.parse(("0.0.0.0/0", "::/0")).trusts_peer(None)


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.1/8", "10.0.0", "", "UNIX"])
def test_anything_else_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Trusted.parse(("10.0.0.5", text))
    assert caught.value.args == (text,)


# -- the client ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "client"),
    [
        ("192.0.2.7", ("192.0.2.7", 0)),
        ("192.0.2.7:4711", ("192.0.2.7", 4711)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("[2001:db8::7]", ("2001:db8::7", 0)),
        ("[2001:db8::7]:4711", ("2001:db8::7", 4711)),
        ("::ffff:192.0.2.7", ("192.0.2.7", 0)),
        ("6.6.6.6, 192.0.2.7", ("192.0.2.7", 0)),
        ("6.6.6.6, 192.0.2.7, 10.0.0.9", ("192.0.2.7", 0)),
        ("6.6.6.6,192.0.2.7 , ,10.0.0.9,", ("192.0.2.7", 0)),
        ("192.0.2.7, 2001:db8:1::1, [::ffff:10.0.0.9]:80", ("192.0.2.7", 0)),
        ("10.0.0.7, 10.0.0.8", ("10.0.0.7", 0)),  # a client of the trusted network itself
        ("192.0.2.7:99999", ("192.0.2.7", 0)),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_not_trusted(
    field: str, client: tuple[str, int]
) -> None:
    report = read(x_forwarded_for=field)
    assert (report.has_client, report.host, report.port) == (True, *client)


@pytest.mark.parametrize(
    "field",
    [
        "unknown",
        "_hidden",
        "192.0.2.7, unknown",
        "6.6.6.6, <script>, 10.0.0.9",
        "300.1.1.1",
        "fe80::1%<script>",
    ],
)
def test_an_address_that_cannot_be_read_is_an_unknown_client(field: str) -> None:
    """Not the one to its left, which a client may have written, and not the proxy."""
    report = read(x_forwarded_for=field)
    assert (report.has_client, report.host) == (True, None)


@pytest.mark.parametrize("fields", [{}, {"x_forwarded_for": ""}, {"x_forwarded_for": " , "}])
def test_without_an_address_nothing_is_reported(fields: dict[str, str]) -> None:
    assert not read("x-forwarded-for", **fields).has_client


def test_only_the_named_headers_are_read() -> None:
    """The others come from the client, through a proxy that does not know them."""
    report = read(
        "x-forwarded-for",
        x_forwarded_for="192.0.2.7",
        x_forwarded_proto="https",
        x_forwarded_host="evil",
        x_forwarded_port="1",
        x_forwarded_prefix="/evil",
        forwarded="for=6.6.6.6",
    )
    assert report == Report(has_client=True, host="192.0.2.7")


# -- scheme, host, port, prefix --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("http", "http"),
        ("ftp", None),
        ("", None),
    ],
)
def test_a_scheme_is_http_or_https(text: str, scheme: str | None) -> None:
    assert read(x_forwarded_proto=text).scheme == scheme


@pytest.mark.parametrize(
    ("addresses", "schemes", "scheme"),
    [
        ("192.0.2.7", "https", "https"),
        ("192.0.2.7", "https, http", "http"),  # the client has sent https
        ("192.0.2.7, 10.0.0.9", "https, http", "https"),  # two proxies, and both append
        ("192.0.2.7, 10.0.0.9", "https", "https"),  # the second passes it on
        ("6.6.6.6, 192.0.2.7, 10.0.0.9", "wss, https, http", "https"),
    ],
)
def test_the_scheme_is_the_one_that_came_with_the_client(
    addresses: str, schemes: str, scheme: str
) -> None:
    report = read(x_forwarded_for=addresses, x_forwarded_proto=schemes)
    assert report.scheme == scheme


@pytest.mark.parametrize(
    ("fields", "authority", "port"),
    [
        ({"x_forwarded_host": "shop.example"}, "shop.example", None),
        ({"x_forwarded_host": "shop.example:8443"}, "shop.example:8443", 8443),
        ({"x_forwarded_host": "[2001:db8::1]:81"}, "[2001:db8::1]:81", 81),
        ({"x_forwarded_host": "a.example, shop.example"}, "shop.example", None),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "81"}, "shop.example:81", 81),
        ({"x_forwarded_host": "shop.example:80"}, "shop.example", 80),
        ({"x_forwarded_port": "81"}, "proxy:81", 81),
        ({"x_forwarded_port": "443", "x_forwarded_proto": "https"}, "proxy", 443),
        ({"x_forwarded_host": "a/b"}, None, None),
        ({"x_forwarded_host": "a b"}, None, None),
        ({"x_forwarded_host": "user@host"}, None, None),
        ({"x_forwarded_host": "a\r\nb"}, None, None),
        ({"x_forwarded_port": "0"}, None, None),
        ({"x_forwarded_port": "65536"}, None, None),
        ({"x_forwarded_port": "٨"}, None, None),
    ],
)
def test_host_and_port_make_the_host_header(
    fields: dict[str, str], authority: str | None, port: int | None
) -> None:
    report = read(**fields)
    assert (report.authority, report.server_port) == (authority, port)


def test_the_prefix_is_passed_on_as_it_is() -> None:
    assert read(x_forwarded_prefix="/shop").prefix == "/shop"


# -- Forwarded -------------------------------------------------------------------------------------


def forwarded(text: str, **options: Any) -> tuple[bool, str | None, int, str | None, str | None]:
    report = read_report({FORWARDED: text}, frozenset({FORWARDED}), TRUSTED, "http", "proxy")
    return report.has_client, report.host, report.port, report.scheme, report.authority


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=192.0.2.7", (True, "192.0.2.7", 0, None, None)),
        ("For=192.0.2.7;Proto=https", (True, "192.0.2.7", 0, "https", None)),
        (
            'for="[2001:db8::7]:4711"; proto=https ;host="shop.example:8443";by=_x',
            (True, "2001:db8::7", 4711, "https", "shop.example:8443"),
        ),
        ('for="192.0.2.7:4711"', (True, "192.0.2.7", 4711, None, None)),
        (r'for="192\.0.2.7"', (True, "192.0.2.7", 0, None, None)),
        (
            "for=6.6.6.6;proto=http, for=192.0.2.7;proto=https, for=10.0.0.9;proto=http",
            (True, "192.0.2.7", 0, "https", None),
        ),
        ("for=192.0.2.7, ,", (True, "192.0.2.7", 0, None, None)),
        ("for=unknown;proto=https", (True, None, 0, "https", None)),
        ("for=_secret", (True, None, 0, None, None)),
        ("proto=https", (True, None, 0, "https", None)),
        ("for=[2001:db8::7]", (True, None, 0, None, None)),  # has to be quoted
        ("", (False, None, 0, None, None)),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(text: str, expected: tuple[Any, ...]) -> None:
    assert forwarded(text) == expected


@pytest.mark.parametrize(
    "sent",
    ['for="', 'for="6.6.6.6', 'for=6.6.6.6;by="', '"', ";", "for=", 'by="a,for=6.6.6.6;x="', "\\"],
)
def test_a_client_cannot_hide_what_the_proxy_appends(sent: str) -> None:
    """A parser that begins on the left reads the proxy's element as a part of the open quotes."""
    assert forwarded(f"{sent}, for=192.0.2.7;proto=https")[:4] == (True, "192.0.2.7", 0, "https")


def test_what_is_malformed_ends_the_list() -> None:
    assert forwarded("for=6.6.6.6, for=;x, for=10.0.0.9")[:2] == (True, None)


def test_a_long_field_is_read_in_time_that_grows_with_its_length() -> None:
    """Counted in elements: only those that are needed are read."""
    text = "for=6.6.6.6," * 20_000 + "for=192.0.2.7"
    assert forwarded(text)[1] == "192.0.2.7"


def test_all_headers_have_lower_case_names() -> None:
    assert all(name == name.lower() for name in (*X_FORWARDED, FORWARDED))
