"""``bridge.cli.served:app``: what `bridge run` tells every server to import. Nothing else here.

Importing it loads the user's app; see `bridge.cli.target`.
"""

from __future__ import annotations

from typing import Any

from bridge.cli.target import TargetSpec, build

app: Any = build(TargetSpec.from_environment())
