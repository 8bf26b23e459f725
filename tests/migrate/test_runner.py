"""The runner: many files, worker processes, unreadable files, failing rules and fixes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.migrate import runner
from bridge.migrate.findings import Edit, Finding, Fix, Severity
from bridge.migrate.fixer import fix
from bridge.migrate.module import Module
from bridge.migrate.project import Project, open_project
from bridge.migrate.rule import Rule, all_rules, select_rules
from bridge.migrate.runner import check
from tests.migrate.helpers import project_of

HEAD = "from django.utils.deprecation import MiddlewareMixin\n\n\n"
CODE = f"{HEAD}class A(MiddlewareMixin):\n    def __init__(self, get_response):\n        pass\n"
NUMBER = 20
MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'


@pytest.fixture(scope="module")
def large() -> Iterator[Project]:
    files = {f"shop/m{number}.py": CODE for number in range(NUMBER)}
    files |= {
        "manage.py": MANAGE,
        "shop/settings.py": 'MIDDLEWARE = ["shop.m1.A"]  # Middleware\n',
        "shop/broken.py": "class Middleware(:\n",
    }
    with project_of(files) as project:
        yield project


@pytest.fixture(autouse=True)
def small_parallel_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PARALLEL_FROM", NUMBER)


def test_worker_processes_find_the_same_and_report_progress(large: Project) -> None:
    rules = select_rules(["M2"])
    progress: dict[int, list[tuple[int, int]]] = {1: [], 2: []}

    alone = check(large, rules, lambda *now: progress[1].append(now), jobs=1)
    shared = check(large, rules, lambda *now: progress[2].append(now), jobs=2)

    assert shared == alone
    assert len(shared.findings) == NUMBER + 1
    assert [problem.path.name for problem in shared.problems] == ["broken.py"]
    total = len(large.modules)
    assert [(each[-1], each == sorted(each)) for each in progress.values()] == [
        ((total, total), True),
        ((total, total), True),
    ]


def test_settings_read_before_the_check_keep_their_place() -> None:
    files = {"manage.py": MANAGE, "shop/settings.py": 'MIDDLEWARE = ["a.Middleware"]\n'}
    with project_of(files) as project:
        assert project.settings.strings("MIDDLEWARE") == ["a.Middleware"]
        found = check(project, select_rules(["M2"])).findings

    assert [(each.code, each.line) for each in found] == [("M201", 1)]


class Broken(Rule):
    code, name, summary = "Z999", "broken", "fails"
    native = bridge = Severity.INFO
    triggers = ("class A",)

    def check_module(self, module: Module, project: Project) -> list[Finding]:
        raise LookupError("no such thing")

    def check_project(self, project: Project) -> list[Finding]:
        raise LookupError("nor this")


def test_a_failing_rule_is_reported_and_the_others_still_run() -> None:
    with project_of({"shop/a.py": CODE}) as project:
        report = check(project, [Broken(), *select_rules(["M203"])])

    assert [each.code for each in report.findings] == ["M203"]
    messages = sorted(problem.message for problem in report.problems)
    assert len(messages) == 2
    assert "could not be checked by Z999" in messages[0]
    assert messages[0].endswith("LookupError: no such thing")
    assert messages[1].endswith("LookupError: nor this")


class Breaking(Rule):
    code, name, summary = "Z998", "breaking", "its fix makes a file unreadable"
    native = bridge = Severity.INFO
    triggers = ("broken by",)

    def check_module(self, module: Module, project: Project) -> list[Finding]:
        other = Path(module.text.rpartition("broken by ")[2].strip())
        other = project.root / other
        edits = (module.insert_line(1, "(\n"), Edit(other, 0, 0, "[\n"))
        fix = Fix("Break it", edits, safe=True)
        return [self.at(module, module.tree, "to be broken", "leave it", fix=fix)]


@pytest.mark.parametrize(
    ("other", "text"), [("other.toml", "a = 1\n"), ("Pipfile", "[a]\n"), ("a.py", "a = 1\n")]
)
def test_a_fix_never_makes_a_file_unparsable(other: str, text: str) -> None:
    files = {"a.py": text, other: text, "shop/a.py": CODE, "b.py": f"# broken by {other}\n"}
    rules = [Breaking(), *select_rules(["M203"])]
    with project_of(files) as project:
        changes = fix(project, rules, unsafe=False, report=check(project, rules))

        assert [project.relative(path) for path in changes.after] == ["shop/a.py"]
        assert [each.code for each in changes.fixed] == ["M203"]
        assert [each.code for each in changes.remaining.findings] == ["Z998"]
        problems = changes.remaining.problems
        messages = {project.relative(each.path): each.message for each in problems}
    assert set(messages) == {"b.py", other}
    assert all("the fixes of Z998 would make it" in message for message in messages.values())


def test_a_file_that_could_not_be_parsed_before_may_be_changed() -> None:
    files = {"b.py": "# broken by other.toml\n", "other.toml": "[\n"}
    with project_of(files) as project:
        report = check(project, [Breaking()])
        (problem,) = fix(project, [Breaking()], unsafe=False, report=report).remaining.problems

    assert problem.path.name == "b.py"


@pytest.mark.parametrize("select", [["D"], ["E"], ["X"], ["D", "E", "X"]])
@pytest.mark.parametrize("broken", ["shop/settings.py", "shop/base.py"])
def test_unparsable_settings_are_reported_for_every_rule_that_needs_them(
    broken: str, select: list[str]
) -> None:
    files = {
        "manage.py": MANAGE,
        "shop/settings.py": "from shop.base import *\nCONN_MAX_AGE = 1\n",
        "shop/base.py": "",
        "Procfile": "web: gunicorn shop.wsgi\n",
    }
    with project_of({**files, broken: "INSTALLED_APPS = [\n"}) as project:
        report = check(project, select_rules(select))
        expected = [] if select == ["X"] else [broken]

        assert [project.relative(each.path) for each in report.problems] == expected


def test_a_file_without_triggers_is_not_parsed() -> None:
    with project_of({"shop/a.py": "def broken(:\n"}) as project:
        assert check(project, select_rules(["M203"])).problems == ()


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"x = '\xe9'  # Middleware\n", 1, "is not utf-8: byte 0xe9"),
        (b"a = 1\nclass Middleware(:\n", 2, "has a syntax error, or syntax newer than"),
        (b"# coding: klingon\nMiddleware\n", 1, "cannot be decoded: unknown encoding"),
        (b"Middleware = " + b"(" * 3000 + b")" * 3000, 0, "has more than 200 nested brackets"),
    ],
)
def test_an_unparsable_file_is_reported_and_the_rest_is_checked(
    tmp_path: Path, data: bytes, line: int, message: str
) -> None:
    (tmp_path / "bad.py").write_bytes(data)
    (tmp_path / "good.py").write_text(CODE)

    report = check(open_project(tmp_path), select_rules(["M203"]))

    (problem,) = report.problems
    assert (problem.path.name, problem.line) == ("bad.py", line)
    assert message in problem.message
    assert [each.path.name for each in report.findings] == ["good.py"]


def test_a_file_declared_as_latin_1_is_read(tmp_path: Path) -> None:
    text = f"# -*- coding: latin-1 -*-\n# caf\xe9\n{CODE}"
    (tmp_path / "a.py").write_bytes(text.encode("latin-1"))

    (found,) = check(open_project(tmp_path), select_rules(["M203"])).findings

    assert found.line == 7


def test_a_symlink_loop_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_text(CODE)
    (tmp_path / "shop" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to("self")

    assert len(check(open_project(tmp_path), select_rules(["M203"])).findings) == 1


def test_environments_and_caches_are_skipped(tmp_path: Path) -> None:
    for folder in (".venv/lib", "myenv/lib", "node_modules/x", "shop/__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text(CODE)
    (tmp_path / "myenv" / "pyvenv.cfg").touch()
    (tmp_path / "a.py").write_text(CODE)

    assert [module.name for module in open_project(tmp_path).modules] == ["a"]


def test_every_rule_has_its_own_name_and_a_summary() -> None:
    rules = all_rules()

    assert len({rule.name for rule in rules}) == len(rules)
    assert [rule.code for rule in rules if not rule.summary] == []
