"""V406: threading.local."""

from __future__ import annotations

from tests.migrate.helpers import check_noop, check_transformed


def test_a_local_is_replaced_by_asgirefs() -> None:
    check_transformed(
        "V406",
        "import threading\n\n_state = threading.local()\n",
        "import threading\nfrom asgiref.local import Local\n\n_state = Local()\n",
        safe=False,
    )


def test_the_base_of_a_subclass_is_replaced() -> None:
    check_transformed(
        "V406",
        "from threading import local\n\n\nclass State(local):\n    user = None\n",
        "from threading import local\nfrom asgiref.local import Local\n\n\n"
        "class State(Local):\n    user = None\n",
        safe=False,
    )


def test_code_that_imports_asgirefs_is_ignored() -> None:
    check_noop(
        "V406",
        "try:\n    from asgiref.local import Local\nexcept ImportError:\n"
        "    from threading import local as Local\n\n_state = Local()\n",
    )


def test_other_names_and_tests_are_ignored() -> None:
    check_noop("V406", "import threading\n\nlock = threading.Lock()\n")
    check_noop("V406", "import threading\nfrom x import local\n\na = local()\n")
    check_noop("V406", "import threading\n\nx = threading.local()\n", path="shop/tests/helpers.py")


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "V406",
        "import threading\n\n"
        "_clients = threading.local()  # bridge: ignore[V406] one client for each thread\n",
    )
