"""Loaded into the process of another project's test suite: puts a double crossing into its client.

The folder above is put on ``PYTHONPATH``, so that nothing here is called ``tests``, as the suites'
own packages are. ``adapters`` makes the crossings, ``clients`` and ``django_client`` know where
each test client calls its app, ``recording`` writes the outcome of each test, and
``pytest_plugin`` and ``django_runner`` load all of them into a runner.

Imports are relative: the package has one name in a suite, and another in this repository.
"""

import os
import sys

sys.path.append(os.environ["BRIDGE_SUITES_ROOT"])  # last: it has a package `tests`, too
