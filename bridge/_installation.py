"""Detects files of another package in this folder: PyPI's python-bridge is also named `bridge`.

pip does not notice: it overwrites files that both have, and removes them with either.

Importing this module checks the folder it is in. It imports only ``os``, and nothing of the
package, because ``wsgi_asgi_bridge`` runs this file alone.
"""

from __future__ import annotations

import os

__all__ = ["check_init"]

_OTHER = "python-bridge"
_ITS_MODULE = "console.py"


_FOLDER = os.path.dirname(__file__)


def _check_folder() -> None:
    """Check that the folder of the package has no files of the other one.

    :raises ImportError: it has.
    """
    if os.path.exists(os.path.join(_FOLDER, _ITS_MODULE)):
        raise ImportError(
            f"{_FOLDER} contains files of {_OTHER}, another package that is imported as 'bridge': "
            "only one of the two can be installed in an environment. Run: "
            f"pip uninstall {_OTHER} wsgi-asgi-bridge; pip install wsgi-asgi-bridge"
        )


def check_init() -> None:
    """Check that ``__init__.py`` is that of this package.

    :raises ImportError: it is missing, or another's.
    """
    try:
        with open(os.path.join(_FOLDER, "__init__.py"), encoding="utf-8") as file:
            is_own = "bridge._installation" in file.read()
    except FileNotFoundError:
        is_own = False
    if not is_own:
        raise ImportError(
            f"{_FOLDER}/__init__.py is missing or belongs to another package: {_OTHER} overwrites "
            "it, and uninstalling that removes it. Run: "
            "pip install --force-reinstall --no-deps wsgi-asgi-bridge"
        )


_check_folder()
