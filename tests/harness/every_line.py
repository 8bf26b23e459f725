"""Import it in an app of the tests, and each line about a repeated condition is logged.

Tests share servers, and each reads the lines that it has caused. `tests/apps/wsgi_paced.py` is
served as it is for users.
"""

from __future__ import annotations

from bridge import _repeated_log

_repeated_log.INTERVAL_S = 0.0
