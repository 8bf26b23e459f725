"""A wheel of bridge without its code, for tests that only resolve the requirement."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["empty_wheel"]


def empty_wheel(folder: Path) -> Path:
    """Write a wheel of ``wsgi-asgi-bridge`` to a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "wsgi_asgi_bridge-9.9.dist-info"
    texts = {
        "METADATA": "Metadata-Version: 2.1\nName: wsgi-asgi-bridge\nVersion: 9.9\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    path = folder / "wsgi_asgi_bridge-9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in texts.items():
            wheel.writestr(f"{info}/{name}", text)
    return path
