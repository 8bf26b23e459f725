"""``python -m bridge`` is the command ``bridge``."""

import sys

from bridge.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
