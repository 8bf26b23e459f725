"""What proxies report of a request: ``X-Forwarded-*``, and ``Forwarded`` (RFC 7239). Pure.

Takes the fields of those headers and the peers that are trusted; returns a :class:`Report`. Text is
latin-1, as in an environ.

Rule 1. Only a trusted peer is believed, and only about the headers that the user has named: a proxy
        passes on those that it does not set, as its client has sent them.
Rule 2. Each proxy appends to the list of addresses. So it is read from the right, up to the first
        address that is not trusted: the client. What is to the left of it, the client has made up.
Rule 3. An address that cannot be read ends the list as well: then the client is unknown.
Rule 4. Of the other lists, the entry at the same distance from the right counts; of a shorter list,
        the first one. What is not a scheme, a host, a port or a path there is ignored.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = [
    "FORWARDED",
    "HEADERS",
    "UNIX",
    "X_FORWARDED",
    "Report",
    "Trusted",
    "read_report",
]

X_FORWARDED = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
)
FORWARDED = "forwarded"
HEADERS = (*X_FORWARDED, FORWARDED)
"""All headers that are read here, in lower case."""

UNIX = "unix"
"""The peer of a connection through a Unix socket, among trusted addresses."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES = ("http", "https", "ws", "wss")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{1,5}))?")
_NODE = re.compile(
    r"\[(?P<v6>[^\[\]]*)\](?::(?P<v6_port>[0-9]{1,5}))?|(?P<v4>[0-9.]+)(?::(?P<v4_port>[0-9]{1,5}))?"
)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_PAIR_TEXT = rf"{_TOKEN}=(?:{_TOKEN}|{_QUOTED})"
_PAIR = re.compile(rf"(?P<name>{_TOKEN})=(?P<value>{_TOKEN}|{_QUOTED})")
_ELEMENT = re.compile(rf"[ \t]*{_PAIR_TEXT}(?:[ \t]*;[ \t]*{_PAIR_TEXT})*[ \t]*")


@dataclass(frozen=True)
class Trusted:
    """The peers whose reports are believed.

    :ivar networks: an address is a network of one.
    :ivar unix: whether the peers of a Unix socket are trusted.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> Trusted:
        """Parse addresses, networks such as ``10.0.0.0/8``, and ``unix``.

        :raises ValueError: one of them is none of these. The argument is its text.
        """
        networks = []
        for text in texts:
            if text == UNIX:
                continue
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                raise ValueError(text) from None
        return cls(tuple(networks), UNIX in texts)

    def __contains__(self, address: object) -> bool:
        return any(address in network for network in self.networks)

    def trusts_peer(self, host: str | None) -> bool:
        """Whether a peer is trusted.

        :param host: its address as the server reports it; None for a Unix socket.
        """
        if host is None:
            return self.unix
        address = _address(host)
        return address is not None and address in self


@dataclass
class Report:
    """What trusted proxies have reported. None where they have not.

    :ivar has_client: whether they have reported a client, which may be an unknown one.
    :ivar host: the client's address; None if it is unknown.
    :ivar port: the client's port; 0 if it is unknown.
    :ivar scheme: ``http`` or ``https``.
    :ivar authority: the host that the client has requested, with a port unless it is the default.
    :ivar server_port: the port that the client has requested.
    :ivar prefix: the path that the proxy has removed, as it was reported.
    """

    has_client: bool = False
    host: str | None = None
    port: int = 0
    scheme: str | None = None
    authority: str | None = None
    server_port: int | None = None
    prefix: str | None = None


def read_report(
    fields: Mapping[str, str],
    believed: frozenset[str],
    trusted: Trusted,
    scheme: str,
    host: str,
) -> Report:
    """What the trusted peer of a request reports.

    :param fields: the fields of the headers in :data:`HEADERS`, those of one name joined by commas.
    :param believed: the headers to read.
    :param scheme: that of the request, ``http`` or ``https``.
    :param host: the Host header of the request.
    """
    if FORWARDED in believed:
        return _read_forwarded(fields.get(FORWARDED, ""), trusted, scheme)
    found = {name: _split(text) for name, text in fields.items() if name in believed}
    report = Report()
    nodes = found.get("x-forwarded-for", [])
    hops = _take_client(report, reversed(nodes), trusted) if nodes else 1
    entries = {name: values[-min(hops, len(values))] for name, values in found.items() if values}
    report.scheme = _scheme(entries.get("x-forwarded-proto", ""))
    report.server_port = _port(entries.get("x-forwarded-port", ""))
    reported = _HOST.fullmatch(entries.get("x-forwarded-host", ""))
    if reported or report.server_port:
        _take_host(report, reported or _HOST.fullmatch(host), report.scheme or scheme)
    report.prefix = entries.get("x-forwarded-prefix")
    return report


def _split(text: str) -> list[str]:
    return [each.strip(" \t") for each in text.split(",") if each.strip(" \t")]


def _take_client(report: Report, nodes: Iterator[str], trusted: Trusted) -> int:
    """Find the client among the addresses, which come from the right: Rules 2 and 3.

    :returns: how many of them were read.
    """
    hops = 0
    for text in nodes:
        hops += 1
        report.has_client = True
        address, report.port = _node(text)
        report.host = None if address is None else str(address)
        if address is None or address not in trusted:
            break
    return hops


def _node(text: str) -> tuple[Address | None, int]:
    """An address and its port, as ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or
    ``[2001:db8::1]:80``. None for anything else, such as ``unknown`` and ``_hidden``.
    """
    if "%" in text:  # the zone of an IPv6 address, which may be any text
        return None, 0
    match = _NODE.fullmatch(text)
    if match is None:
        return _address(text), 0
    address = _address(match["v6"] or match["v4"] or "")
    port = int(match["v6_port"] or match["v4_port"] or 0)
    return address, port if port < 65536 else 0


def _address(text: str) -> Address | None:
    """The address; an IPv4 one also where it is written as IPv6, as on dual-stack sockets."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _scheme(text: str) -> str | None:
    lower = text.lower()
    return lower.replace("ws", "http") if lower in _SCHEMES else None


def _port(text: str) -> int | None:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    return port if 0 < port < 65536 else None


def _take_host(report: Report, host: re.Match[str] | None, scheme: str) -> None:
    """Put host and port together. A port that was reported by itself replaces that of the host."""
    if host is None:
        return
    report.server_port = report.server_port or _port(host["port"] or "")
    is_default = report.server_port in (None, {"http": 80, "https": 443}[scheme])
    report.authority = host["name"] if is_default else f"{host['name']}:{report.server_port}"


# -- RFC 7239 --------------------------------------------------------------------------------------


def _read_forwarded(text: str, trusted: Trusted, scheme: str) -> Report:
    report = Report()
    last: dict[str, str] = {}

    def nodes() -> Iterator[str]:
        for last_element in _elements_from_right(text):
            last.clear()
            last.update(last_element)
            yield last.get("for", "")

    _take_client(report, nodes(), trusted)
    report.scheme = _scheme(last.get("proto", ""))
    _take_host(report, _HOST.fullmatch(last.get("host", "")), report.scheme or scheme)
    return report


def _elements_from_right(text: str) -> Iterator[dict[str, str]]:
    """The elements of a ``Forwarded`` field, the last one first, up to one that is malformed.

    From the left, a quote that the client has left open would hide what the proxy has appended.
    """
    end = len(text)
    while end > 0:
        start = text.rfind(",", 0, end)
        if not text[start + 1 : end].strip(" \t"):  # an empty element (RFC 9110, 5.6.1)
            end = start
            continue
        while _ELEMENT.fullmatch(text, start + 1, end) is None:
            if start < 0:
                yield {}
                return
            start = text.rfind(",", 0, start)  # this comma may be inside quotes
        pairs = _PAIR.finditer(text, start + 1, end)
        yield {pair["name"].lower(): _unquoted(pair["value"]) for pair in pairs}
        end = start


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
