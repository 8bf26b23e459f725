"""F704: app.wsgi_app in WSGI middleware."""

from __future__ import annotations

from bridge.migrate.findings import Severity
from tests.migrate.helpers import check_noop, findings

CODE = "F704"
FIX = "from werkzeug.middleware.proxy_fix import ProxyFix\n\n"


def test_proxies_trusted_in_two_places_are_found() -> None:
    text = f"{FIX}app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)\n"
    [found] = findings({"shop/code.py": text}, CODE, target="bridge")

    assert (found.line, found.bridge) == (3, Severity.WARNING)
    assert "--no-proxy-headers" in found.help


def test_other_middleware_is_info_for_bridge() -> None:
    text = "from shop.timing import Timing\n\napp.wsgi_app = Timing(app.wsgi_app)\n"
    [found] = findings({"shop/code.py": text}, CODE, target="bridge")

    assert (found.native, found.bridge) == (Severity.WARNING, Severity.INFO)
    assert "shop.timing.Timing" in found.message


def test_reading_wsgi_app_is_ignored() -> None:
    check_noop(CODE, "client = Client(app.wsgi_app)\nwsgi_app = app.wsgi_app\n")


def test_a_comment_suppresses_it() -> None:
    text = f"{FIX}app.wsgi_app = ProxyFix(app.wsgi_app)  # bridge: ignore[F704]\n"
    check_noop(CODE, text)
