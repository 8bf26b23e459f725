"""M201, M202, M204, M205, M206, M207: middleware under ASGI."""

from __future__ import annotations

import pytest

from bridge.migrate.facts import Facts, MiddlewareFact, ViewFact
from bridge.migrate.findings import Severity, Source
from tests.migrate.helpers import check_noop, check_transformed, findings, fixed

HEAD = "from django.utils.deprecation import MiddlewareMixin\n\n\n"
MANAGE = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
}
STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MIXIN = MiddlewareFact("other.Mixin", async_capable=True, hooks=("process_request",))


def site(*middleware: str, **files: str) -> dict[str, str]:
    """A project with this MIDDLEWARE; ``code`` is its module ``shop.code``."""
    lines = "".join(f'    "{each}",\n' for each in middleware)
    return {
        **MANAGE,
        "shop/settings.py": f"MIDDLEWARE = [\n{lines}]\n",
        **{f"shop/{name}.py": text for name, text in files.items()},
    }


def introspected(*middleware: MiddlewareFact, is_async: bool = False, django: str = "6.1") -> Facts:
    """The facts that introspection of a project with this middleware would return."""
    return Facts(
        python="3.13.0",
        django=django,
        settings={"MIDDLEWARE": [each.path for each in middleware]},
        middleware=middleware,
        views=(ViewFact("", "shop.views.index", is_async=is_async),),
    )


# -- M201 ------------------------------------------------------------------------------------------


def test_the_hops_of_startproject_are_counted_from_the_sources() -> None:
    (found,) = findings(site(*STARTPROJECT), "M201")

    assert found.message.startswith("16 hand-overs to a thread")
    assert "CsrfViewMiddleware x3" in found.message
    assert (found.source, found.line) == (Source.SOURCES, 1)


def test_unknown_middleware_makes_it_an_estimate() -> None:
    (found,) = findings(site(*STARTPROJECT, "other.Unknown"), "M201")

    assert found.message.startswith("about 16 hand-overs")
    assert "without 1 middleware that could not be probed" in found.message


def test_probed_middleware_takes_precedence() -> None:
    (found,) = findings(site(*STARTPROJECT), "M201", facts=introspected(MIXIN))

    assert found.message.startswith("4 hand-overs to a thread")
    assert found.source is Source.RUNTIME


def test_middleware_of_the_project_is_shown_with_its_place() -> None:
    code = (
        f"{HEAD}class A(MiddlewareMixin):\n    def process_request(self, request):\n        ...\n"
    )
    (found,) = findings(site("shop.code.A", code=code), "M201")

    assert found.message.startswith("4 hand-overs")
    assert "A (shop/code.py:4)" in found.message


def test_a_project_without_middleware_is_ignored() -> None:
    check_noop("M201", "DEBUG = True\n", path="shop/settings.py", files=MANAGE)


# -- M202 ------------------------------------------------------------------------------------------

CALL = """\
    def __call__(self, request):
        response = self.get_response(request)
        response["X-A"] = "1"
        return response
"""


def test_a_sync_call_method_is_found() -> None:
    (found,) = findings({"shop/code.py": f"{HEAD}class A(MiddlewareMixin):\n{CALL}"}, "M202")

    assert (found.line, found.native, found.bridge) == (5, Severity.ERROR, None)


def test_nothing_is_found_for_bridge() -> None:
    check_noop("M202", f"{HEAD}class A(MiddlewareMixin):\n{CALL}", target="bridge")


@pytest.mark.parametrize(
    "body",
    [
        "    def __call__(self, request):\n        return super().__call__(request)\n",
        "    def __call__(self, request):\n        response = super().__call__(request)\n"
        "        return response\n",
        "    def __call__(self, request):\n        response: Any = self.get_response(request)\n"
        "        return response\n",
        f"    async_capable = False\n\n{CALL}",
        "    async def __call__(self, request):\n        return await self.get_response(request)\n",
        "    def __call__(self, request):\n        if self.async_mode:\n"
        "            return self.__acall__(request)\n        return None\n",
        "    def process_request(self, request):\n        self.__call__\n",
    ],
)
def test_a_call_method_that_supports_async_is_ignored(body: str) -> None:
    check_noop("M202", f"{HEAD}class A(MiddlewareMixin):\n{body}")


def test_a_class_without_the_mixin_is_ignored() -> None:
    check_noop("M202", f"class A:\n{CALL}")


def test_a_response_of_its_own_is_found_even_beside_super() -> None:
    text = (
        f"{HEAD}class A(MiddlewareMixin):\n    def __call__(self, request):\n"
        "        if request.path == '/up':\n            return HttpResponse('ok')\n"
        "        return super().__call__(request)\n"
    )
    (found,) = findings({"shop/code.py": text}, "M202")

    assert "under ASGI a request that A answers itself is a 500" in found.message
    assert "every request" not in found.message


@pytest.mark.parametrize(
    "use", ["response['X-A'] = '1'", "response = wrap(response)", "log(response.status_code)"]
)
def test_a_response_that_is_used_is_not_passed_on(use: str) -> None:
    text = (
        f"{HEAD}class A(MiddlewareMixin):\n    def __call__(self, request):\n"
        f"        response = super().__call__(request)\n        {use}\n        return response\n"
    )
    (found,) = findings({"shop/code.py": text}, "M202")

    assert "every request under ASGI is a 500" in found.message


@pytest.mark.parametrize("start", ["", '    """Adds a header."""\n\n', "    x = 1\n\n"])
def test_the_fix_makes_it_sync_only(start: str) -> None:
    added = "    async_capable = False\n\n"
    after = f"{start}{added}" if '"""' in start else f"{added}{start}"
    check_transformed(
        "M202",
        f"{HEAD}class A(MiddlewareMixin):\n{start}{CALL}",
        f"{HEAD}class A(MiddlewareMixin):\n{after}{CALL}",
        safe=False,
    )


def test_no_fix_where_the_class_sets_async_capable() -> None:
    text = f"{HEAD}class A(MiddlewareMixin):\n    async_capable = True\n\n{CALL}"
    (found,) = findings({"shop/code.py": text}, "M202")

    assert found.fix is None


def test_the_fix_keeps_the_indent_of_the_class() -> None:
    call = CALL.replace("    ", "\t")
    check_transformed(
        "M202",
        f'{HEAD}class A(MiddlewareMixin):\n\t"""Adds a header."""; x = 1  # one\n\n{call}',
        f'{HEAD}class A(MiddlewareMixin):\n\t"""Adds a header."""; x = 1  # one\n\n'
        f"\tasync_capable = False\n\n{call}",
        safe=False,
    )


def test_a_comment_suppresses_it_on_the_line_above() -> None:
    check_noop(
        "M202",
        f"{HEAD}class A(MiddlewareMixin):\n    # bridge: ignore[M202, M203] behind a flag\n{CALL}",
    )


def test_a_package_with_a_sync_call_is_found_in_the_settings() -> None:
    fact = MiddlewareFact("other.A", async_capable=True, is_mixin=True, overrides_call=True)

    (found,) = findings(site("other.A"), "M202", facts=introspected(fact))

    assert (str(found.path), found.line) == ("shop/settings.py", 2)
    assert found.source is Source.RUNTIME


# -- M204 ------------------------------------------------------------------------------------------

FUNCTION = """\
def timing(get_response):
    clock = get_clock()

    def middleware(request):
        started = clock()
        response = get_response(request)
        response["X-Took"] = str(clock() - started)
        return response

    return middleware
"""
BOTH = """\
from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

@sync_and_async_middleware
def timing(get_response):
    clock = get_clock()

    if iscoroutinefunction(get_response):

        async def middleware(request):
            started = clock()
            response = await get_response(request)
            response["X-Took"] = str(clock() - started)
            return response

    else:

        def middleware(request):
            started = clock()
            response = get_response(request)
            response["X-Took"] = str(clock() - started)
            return response

    return middleware
"""
TIMING = MiddlewareFact("shop.code.timing")


def test_a_function_without_a_decorator_is_sync_only() -> None:
    (found,) = findings(site("shop.code.timing", code=FUNCTION), "M204")

    assert (str(found.path), found.line) == ("shop/code.py", 1)
    assert (found.native, found.bridge) == (Severity.WARNING, None)
    assert found.fix is None, "no async view is known"


def test_a_fix_is_offered_with_fewer_hops_and_an_async_view() -> None:
    files = site("shop.code.timing", code=FUNCTION)

    after = fixed(files, "M204", facts=introspected(TIMING, is_async=True))

    assert after == {**files, "shop/code.py": BOTH}


@pytest.mark.parametrize("quotes", ['"""', 'f"""'])
def test_lines_inside_strings_keep_their_indent(quotes: str) -> None:
    text = f'note({quotes}a\n    b\nc""", get_response(request)'
    before = FUNCTION.replace("get_response(request)", f"{text})", 1)
    after = BOTH.replace(
        "await get_response(request)", f"{text.replace('get_r', 'await get_r')})"
    ).replace("response = get_response(request)", f"response = {text})")
    files = site("shop.code.timing", code=before)

    assert fixed(files, "M204", facts=introspected(TIMING, is_async=True))["shop/code.py"] == after


def test_the_function_stays_indented_with_tabs() -> None:
    files = site("shop.code.timing", code=FUNCTION.replace("    ", "\t"))

    after = fixed(files, "M204", facts=introspected(TIMING, is_async=True))["shop/code.py"]

    assert after == BOTH.replace("    ", "\t")


def test_no_fix_where_no_view_is_async() -> None:
    files = site("shop.code.timing", code=FUNCTION)

    assert fixed(files, "M204", facts=introspected(TIMING)) == files


def test_no_fix_where_hops_would_increase() -> None:
    files = site("other.Mixin", "shop.code.timing", code=FUNCTION)
    both = MiddlewareFact(
        "other.Mixin", async_capable=True, hooks=("process_request", "process_response")
    )
    facts = introspected(both, TIMING, is_async=True)

    assert fixed(files, "M204", facts=facts) == files
    (found,) = findings(files, "M204", facts=facts)
    assert "would cost 1 hand-over to a thread more" in found.message


def test_the_fix_is_unsafe() -> None:
    files = site("shop.code.timing", code=FUNCTION)

    assert fixed(files, "M204", unsafe=False, facts=introspected(TIMING, is_async=True)) == files


@pytest.mark.parametrize(
    "code",
    [
        BOTH,
        f"{HEAD}class timing(MiddlewareMixin):\n    pass\n",
        "class timing:\n    async_capable = True\n    sync_capable = False\n",
    ],
)
def test_async_capable_middleware_is_ignored(code: str) -> None:
    assert findings(site("shop.code.timing", code=code), "M204") == []


# -- M205, M207 ------------------------------------------------------------------------------------


def test_a_sync_only_package_is_found_in_the_settings() -> None:
    facts = introspected(MIXIN, MiddlewareFact("other.Sync"))

    (found,) = findings(site("other.Mixin", "other.Sync"), "M205", facts=facts)

    assert (str(found.path), found.line, found.source) == ("shop/settings.py", 3, Source.RUNTIME)


def test_middleware_that_was_not_probed_is_ignored() -> None:
    broken = MiddlewareFact("other.Sync", error="ImportError: no")

    assert findings(site("other.Sync"), "M205") == []
    assert findings(site("other.Sync"), "M205", facts=introspected(broken)) == []


def test_unused_middleware_is_found_and_does_not_count() -> None:
    files = site("other.Mixin", "other.Sync")
    facts = introspected(MIXIN, MiddlewareFact("other.Sync", is_used=False))

    assert [each.line for each in findings(files, "M207", facts=facts)] == [3]
    assert findings(files, "M205", facts=facts) == []
    assert findings(files, "M201", facts=facts)[0].message.startswith("4 hand-overs")


# -- M206 ------------------------------------------------------------------------------------------

REMOTE = "django.contrib.auth.middleware.RemoteUserMiddleware"
OWN = f"from {REMOTE.rpartition('.')[0]} import RemoteUserMiddleware\n\n\n"


def test_remote_user_is_critical_without_introspection() -> None:
    (found,) = findings(site(REMOTE), "M206")

    assert (found.line, found.native, found.bridge) == (2, Severity.CRITICAL, Severity.INFO)


def test_remote_user_that_finds_nobody_is_an_error() -> None:
    facts = introspected(MiddlewareFact(REMOTE, async_capable=True), django="5.1.3")

    (found,) = findings(site(REMOTE), "M206", facts=facts)

    assert found.native is Severity.ERROR
    assert "nobody is logged in" in found.message


def test_a_subclass_with_another_header_is_ignored() -> None:
    code = f'{OWN}class Proxy(RemoteUserMiddleware):\n    header = "HTTP_X_PROXY_USER"\n'

    assert findings(site("shop.code.Proxy", code=code), "M206") == []


def test_a_subclass_that_keeps_the_header_is_found() -> None:
    code = f"{OWN}class Proxy(RemoteUserMiddleware):\n    force_logout_if_no_header = False\n"

    assert len(findings(site("shop.code.Proxy", code=code), "M206")) == 1


def test_a_comment_in_the_settings_suppresses_it() -> None:
    files = site(REMOTE)
    line = f'    "{REMOTE}",'
    files["shop/settings.py"] = files["shop/settings.py"].replace(
        line, f"{line}  # bridge: ignore[M206] nginx sets it"
    )

    assert findings(files, "M206") == []
