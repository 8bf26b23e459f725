"""A mixed installation: PyPI's python-bridge has a package and a command named `bridge`, too.

The files are those that its wheel 0.1.2 has in common with, or beside, this package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bridge

ROOT = Path(bridge.__file__).parent
COMMAND = """\
import sys
import wsgi_asgi_bridge
sys.argv[0] = "/usr/bin/wsgi-asgi-bridge"
sys.exit(wsgi_asgi_bridge.main())
"""
ALLOWED = {"asgiref", "click", "rich", "markdown-it-py", "mdurl", "pygments"}
"""What the command line may install beside a user's app."""
THEIRS = {
    "__init__.py": "from bridge.framework import django\n\n__all__ = ['django']\n",
    "config.py": "import yaml\n",
    "console.py": "",
    "cli/__init__.py": "",
    "cli/bridge.py": "",
    "framework/__init__.py": "",
    "framework/django.py": "import a_package_that_is_not_installed\n",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages that has this one."""
    shutil.copytree(ROOT, tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT.parent / "wsgi_asgi_bridge.py", tmp_path)
    return tmp_path


def install_theirs(site: Path, *, overwrite: bool) -> None:
    for name, text in THEIRS.items():
        path = site / "bridge" / name
        path.parent.mkdir(exist_ok=True)
        if overwrite or not path.exists():
            path.write_text(text)


def uninstall_theirs(site: Path) -> None:
    for name in THEIRS:
        (site / "bridge" / name).unlink(missing_ok=True)


def run(site: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_second_command_is_the_first(site: Path) -> None:
    done = run(site, COMMAND, "--version")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["bridge", bridge.__version__])

    assert "Usage: wsgi-asgi-bridge run" in run(site, COMMAND, "run", "--help").stdout


def test_this_package_installed_last(site: Path) -> None:
    install_theirs(site, overwrite=False)

    done = run(site, "import bridge")

    last = done.stderr.splitlines()[-1]
    assert last == (
        f"ImportError: {site / 'bridge'} contains files of python-bridge, another package that is "
        "imported as 'bridge': only one of the two can be installed in an environment. Run: "
        "pip uninstall python-bridge wsgi-asgi-bridge; pip install wsgi-asgi-bridge"
    )
    command = run(site, COMMAND, "--version")
    assert command.returncode == 2
    assert command.stderr == f"wsgi-asgi-bridge: {last.removeprefix('ImportError: ')}\n"


def test_the_other_package_installed_last(site: Path) -> None:
    install_theirs(site, overwrite=True)

    done = run(site, COMMAND, "--version")

    assert done.returncode == 2
    assert "contains files of python-bridge" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_other_package_uninstalled(site: Path) -> None:
    install_theirs(site, overwrite=True)
    uninstall_theirs(site)

    done = run(site, COMMAND, "--version")

    assert done.returncode == 2
    assert "__init__.py is missing" in done.stderr
    assert "pip install --force-reinstall --no-deps wsgi-asgi-bridge" in done.stderr


def test_a_folder_that_hides_the_package(site: Path, tmp_path: Path) -> None:
    hiding = tmp_path / "project"
    (hiding / "bridge").mkdir(parents=True)
    (hiding / "bridge" / "__init__.py").write_text("")

    done = run(site, f"import sys; sys.path.insert(0, {str(hiding)!r})\n{COMMAND}", "--version")

    assert done.returncode == 2
    assert f"that Python finds ({hiding / 'bridge'}) is another one" in done.stderr


def test_importing_another_version_of_a_file_is_not_an_error(site: Path) -> None:
    """Only the other package's files are: a note beside the code stays harmless."""
    (site / "bridge" / "notes.txt").write_text("")

    assert run(site, "import bridge").returncode == 0


def test_the_version_is_printed_without_importing_the_package(site: Path) -> None:
    code = COMMAND.replace("sys.exit(", "print(").replace(
        ".main())", ".main(), 'bridge' in sys.modules, 'click' in sys.modules)"
    )

    assert run(site, code, "--version").stdout.splitlines()[1:] == ["0 False False"]


def test_the_command_line_installs_nothing_that_an_app_may_pin() -> None:
    found: set[str] = set()
    names = {"wsgi-asgi-bridge": "cli"}
    while names:
        name, extra = names.popitem()
        for text in requires(name) or ():
            each = Requirement(text)
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                if each.name not in found:
                    names[each.name] = ""
                found.add(each.name)

    assert found <= ALLOWED
    assert {"asgiref", "click", "rich"} <= found
