"""The tests on trio run in `nox -s plugins`.

The test environment has no trio: eventlet cannot be imported beside it.
"""

from importlib.util import find_spec

collect_ignore = [] if find_spec("trio") else ["test_on_trio.py"]
