"""What git could not restore, found without running a program that the repository names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import MigrationError
from bridge.migrate.repository import ignored, uncommitted

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *arguments],
        cwd=folder,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A repository with one committed file, which is changed."""
    folder = tmp_path / "site"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("1\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    (folder / "a.py").write_text("2\n")
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a file behind when it runs: :func:`has_run`."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n: > {tmp_path}/has-run\nexit 1\n")
    path.chmod(0o755)
    return path


def has_run(program: Path) -> bool:
    return (program.parent / "has-run").exists()


def hooks(site: Path, program: Path) -> None:
    git(site, "config", "core.hooksPath", ".git/hooks")
    (site / ".git" / "hooks" / "post-index-change").symlink_to(program)
    os.utime(site / "a.py", (1, 1))  # git then refreshes its index, and runs the hook


def monitor(site: Path, program: Path) -> None:
    git(site, "config", "core.fsmonitor", str(program))


def clean_filter(site: Path, program: Path) -> None:
    git(site, "config", "filter.a.b.clean", str(program))
    git(site, "config", "filter.a.b.required", "true")
    (site / ".git" / "info" / "attributes").write_text("*.py filter=a.b\n")


def filter_process(site: Path, program: Path) -> None:
    (site / ".git" / "more").write_text(f'[filter "long"]\n\tprocess = {program}\n')
    git(site, "config", "include.path", "more")
    (site / ".gitattributes").write_text("*.py filter=long\n")


def filter_of_a_worktree(site: Path, program: Path) -> None:
    git(site, "config", "extensions.worktreeConfig", "true")
    git(site, "config", "--worktree", "filter.x.clean", str(program))
    (site / ".gitattributes").write_text("*.py filter=x\n")


def partial_clone(site: Path, program: Path) -> None:
    """The tree that ``git status`` compares with is missing."""
    tree = git(site, "rev-parse", "HEAD^{tree}").strip()
    (site / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    git(site, "config", "remote.origin.url", f"ext::{program}")
    git(site, "config", "remote.origin.promisor", "true")
    git(site, "config", "protocol.ext.allow", "always")


def submodule(site: Path, program: Path) -> None:
    inner = site / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "b.py").write_text("1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "-q", "-m", "all")
    (site / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n')
    git(site, "add", "-A")
    git(site, "commit", "-q", "-m", "submodule")
    (site / "a.py").write_text("3\n")
    git(inner, "config", "core.fsmonitor", str(program))


Setup = Callable[[Path, Path], None]
SETUPS: list[Setup] = [
    monitor,
    hooks,
    clean_filter,
    filter_process,
    filter_of_a_worktree,
    partial_clone,
    submodule,
]


@pytest.mark.parametrize("setup", SETUPS)
def test_no_program_of_the_repository_runs(setup: Setup, site: Path, program: Path) -> None:
    setup(site, program)

    try:
        changed = uncommitted(site)
        ignored(site, [site / "a.py"])
    except MigrationError:
        assert setup is partial_clone, "git cannot compare with a tree that is missing"
    else:
        assert "a.py" in changed

    assert not has_run(program)


@pytest.mark.parametrize("setup", SETUPS)
def test_git_itself_runs_these_programs(setup: Setup, site: Path, program: Path) -> None:
    """Otherwise the test above would prove nothing."""
    setup(site, program)

    subprocess.run(["git", "status"], cwd=site, check=False, timeout=60, capture_output=True)

    assert has_run(program)


def test_a_filter_with_an_unusable_name_is_an_error(site: Path, program: Path) -> None:
    git(site, "config", "filter.a=b.clean", str(program))
    (site / ".gitattributes").write_text("*.py filter=a=b\n")

    with pytest.raises(MigrationError, match=r"'filter\.a=b\.clean'.*--allow-dirty"):
        uncommitted(site)

    assert not has_run(program)


def test_names_are_those_of_the_files(site: Path) -> None:
    (site / "a\nb é.py").write_text("1\n")
    (site / os.fsdecode(b"\xff.py")).write_text("1\n")

    assert set(uncommitted(site)) == {"a.py", "a\nb é.py", os.fsdecode(b"\xff.py")}


def test_outside_a_repository_git_is_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1\n")

    assert uncommitted(tmp_path) == []
    assert ignored(tmp_path, [path]) == []


def test_without_introspection_no_command_runs_code_of_the_project(
    site: Path, program: Path
) -> None:
    (site / "manage.py").write_text("")
    leave_a_file = f"open({str(program.parent / 'has-run')!r}, 'w')\n"
    for name in ("settings", "click", "libcst", "sitecustomize", "conftest", "gunicorn.conf"):
        (site / f"{name}.py").write_text(leave_a_file)
    (site / ".venv" / "bin").mkdir(parents=True)
    (site / ".venv" / "bin" / "python").symlink_to(program)
    (site / "a.py").write_text(FIXABLE)
    git(site, "add", "-A")
    git(site, "commit", "-q", "-m", "site")
    for setup in (monitor, hooks, clean_filter):
        setup(site, program)

    for command in ("check", "plan", "fix"):
        write = ["--write"] if command == "fix" else []
        arguments = ["migrate", command, ".", "--no-introspect", "--fail-level", "never", *write]
        done = subprocess.run(
            [str(Path(sys.executable).with_name("bridge")), *arguments],
            cwd=site,
            check=False,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    assert not has_run(program)
    assert (site / "a.py").read_text() != FIXABLE, "fixes were written"


FIXABLE = """from django.utils.deprecation import MiddlewareMixin


class A(MiddlewareMixin):
    def __init__(self, get_response):
        self.get_response = get_response
"""
