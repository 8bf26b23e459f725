"""Apps of :mod:`tests.apps.router_lifespans` that a Router mounts and an adapter contains, too.

:data:`app` mounts ``one`` beside its adapter :data:`adapted`, and ``two`` inside its adapter.
"""

from __future__ import annotations

import bridge
from tests.apps.router_lifespans import app_with_lifespan, site

one = app_with_lifespan("one")
adapted = bridge.to_wsgi(one)
app = bridge.Router({"/": site, "/one": one, "/two": bridge.to_wsgi(app_with_lifespan("two"))})
