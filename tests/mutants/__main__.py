"""Changes the core packages in one place at a time, and lists the changes that no test notices.

::

    python -m tests.mutants --folder FOLDER                   300 mutants, selected at random
    python -m tests.mutants --folder FOLDER --sample 40 sync  40, of bridge.sync only
    python -m tests.mutants --folder FOLDER --sample 0        all, which takes days

Cosmic Ray makes the mutants, in a clone of the commit at HEAD, and runs
:mod:`tests.mutants.noticed` against each. The folder keeps the results: the same command goes on
where it was interrupted.

Exit code 1 if a mutant survived. Its change is printed for somebody to read: it needs a test,
nothing needs the code that it changes, or both programs do the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
from itertools import islice
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants.noticed import TESTS
from tests.mutants.programs import is_another_program

TIMEOUT_S = 900.0
"""A mutant whose tests take longer counts as noticed. They take two minutes on two idle cores."""


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="List the changes to the core packages that no test notices.",
    )
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(TESTS))
    parser.add_argument("--folder", type=Path, required=True, help="for the clone and the results")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="selects the sample (default: 1)")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.packages if name not in TESTS]
    if unknown:
        parser.error(f"no package {', '.join(unknown)}; choose from {', '.join(TESTS)}")
    if chosen.sample < 0:
        parser.error(f"--sample {chosen.sample}: expected a number of mutants, or 0 for all")
    folder = chosen.folder.resolve()
    tree, config, database = folder / "tree", folder / "mutants.toml", folder / "mutants.sqlite"
    if not database.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", ".", str(tree)], check=True)
        config.write_text(_config(chosen.packages or list(TESTS)), encoding="utf-8")
        _cosmic_ray(tree, "init", str(config), str(database))
        with use_db(str(database), WorkDB.Mode.open) as db:
            _skip_all_but_a_sample(db, tree, chosen.sample, chosen.seed)
    subprocess.run(["git", "checkout", "--quiet", "."], cwd=tree, check=True)  # was interrupted
    with use_db(str(database), WorkDB.Mode.open) as db:
        print(f"{len(db.pending_work_items)} mutants to test, in {tree}", flush=True)
    _cosmic_ray(tree, "exec", str(config), str(database))
    with use_db(str(database), WorkDB.Mode.open) as db:
        return _report(db)


def _config(packages: list[str]) -> str:
    """Cosmic Ray's configuration file."""
    command = f"{shlex.quote(sys.executable)} -m tests.mutants.noticed"
    return f"""\
[cosmic-ray]
module-path = {json.dumps([f"bridge/{name}" for name in packages])}
timeout = {TIMEOUT_S}
test-command = {json.dumps(command)}
[cosmic-ray.distributor]
name = "local"
"""


def _cosmic_ray(tree: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run(["cosmic-ray", *arguments], cwd=tree, check=True, env=environment)


def _skip_all_but_a_sample(db: WorkDB, tree: Path, size: int, seed: int) -> None:
    """Mark all other mutants as skipped; ``size`` 0 keeps all that are programs of their own."""
    items = sorted(db.work_items, key=_position)
    shuffled = random.Random(seed).sample(items, len(items))
    differing = (item.job_id for item in shuffled if _differs(item.mutations[0], tree))
    skipped = {item.job_id for item in items} - set(islice(differing, size or None))
    db.set_multiple_results(skipped, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _differs(change: MutationSpec, tree: Path) -> bool:
    """Whether the mutant can be imported, and is not the same program."""
    source = (tree / change.module_path).read_text(encoding="utf-8")
    operator = get_operator(change.operator_name)(**change.operator_args)
    mutated = mutate_code(source, operator, change.occurrence)
    return mutated is not None and is_another_program(source, mutated)


def _position(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    change = item.mutations[0]
    return str(change.module_path), change.start_pos, change.operator_name, change.occurrence


def _report(db: WorkDB) -> int:
    """Print the survivors and the score.

    :returns: the exit code.
    """
    tested = [(item, result) for item, result in db.completed_work_items if result.test_outcome]
    survived = [pair for pair in tested if pair[1].test_outcome == TestOutcome.SURVIVED]
    for item, result in sorted(survived, key=lambda pair: _position(pair[0])):
        change = item.mutations[0]
        print(f"\n{change.module_path}:{change.start_pos[0]}, {change.operator_name}")
        print(result.diff)
    late = sum(result.output == "timeout" for _, result in tested)
    print(f"\n{len(tested) - len(survived)} of {len(tested)} mutants were noticed by a test")
    print(f"({late} of them only because the tests took longer than {TIMEOUT_S:g} s)")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
