"""M203: a MiddlewareMixin whose __init__ does not call super().__init__()."""

from __future__ import annotations

from tests.migrate.helpers import check_noop, check_transformed, findings

HEAD = "from django.utils.deprecation import MiddlewareMixin\n\n\n"


def test_a_call_of_super_is_ignored() -> None:
    check_noop(
        "M203",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response):\n"
        "        super().__init__(get_response)\n",
    )


def test_another_base_is_ignored() -> None:
    check_noop("M203", "class A:\n    def __init__(self, get_response):\n        pass\n")


def test_a_class_without_init_is_ignored() -> None:
    check_noop("M203", HEAD + "class A(MiddlewareMixin):\n    x = '__init__'\n")


def test_the_assignment_becomes_the_call() -> None:
    check_transformed(
        "M203",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response):\n"
        "        self.get_response = get_response  # as Django says\n"
        "        self.x = 1\n",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response):\n"
        "        super().__init__(get_response)  # as Django says\n"
        "        self.x = 1\n",
    )


def test_the_call_is_inserted_after_the_docstring() -> None:
    check_transformed(
        "M203",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response=None):\n"
        '        """Docs."""\n'
        "        self.x = 1\n",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response=None):\n"
        '        """Docs."""\n'
        "        super().__init__(get_response)\n"
        "        self.x = 1\n",
    )


def test_an_ancestor_in_another_module_is_found() -> None:
    found = findings(
        {
            "shop/base.py": HEAD + "class Base(MiddlewareMixin):\n    pass\n",
            "shop/settings.py": 'MIDDLEWARE = ["shop.code.A"]\n',
            "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
            "shop/code.py": "from .base import Base\n\n\nclass A(Base):\n"
            "    def __init__(self, get_response):\n        pass\n",
        },
        "M203",
    )

    assert [(str(each.path), each.line) for each in found] == [("shop/code.py", 5)]


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "M203",
        HEAD + "class A(MiddlewareMixin):\n"
        "    def __init__(self, get_response):  # bridge: ignore[M203] sync on purpose\n"
        "        pass\n",
    )


def test_line_ends_are_kept() -> None:
    before = HEAD + "class A(MiddlewareMixin):\n    def __init__(self, get):\n        self.x = 1\n"
    after = before.replace("        self.x", "        super().__init__(get)\n        self.x")
    check_transformed("M203", before.replace("\n", "\r\n"), after.replace("\n", "\r\n"))
