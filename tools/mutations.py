"""Each rule of `docs/protocols.md` broken on purpose: `python -m tools.mutations [--rule N …] [--format json]`.

A mutation (`mutation_list`) is applied to a copy of the tree, its test is run there, and what was changed is put back.

    killed      the test failed, as it must
    survived    the test passed: the rule is not held by it
    broken      the test could not be run

Exit status 1 unless every mutation was killed. `--unchanged` shows that the tests fail for no other reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.mutation_list import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
CHECK_SECONDS = 600
KILLS = 8
KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
TEST_FAILED = 1


def copy_tree(target: Path) -> None:
    """Copy what git knows of the working tree, and what is new in it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        source, copy = ROOT / name, target / name
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def command_of(check: str) -> list[str]:
    """The command that a mutation must make fail: a test, a kill matrix of one kind, simulated seeds, or cuts."""
    if check.startswith("cuts:"):
        return [sys.executable, "-m", "tools.power_loss", "--cuts", check.removeprefix("cuts:")]
    if check.startswith("seeds:"):
        return [sys.executable, "-m", "tools.simulate", "--seeds", check.removeprefix("seeds:")]
    if check.startswith("kills:"):
        kind = check.removeprefix("kills:")
        return [sys.executable, "-m", "tools.kill_matrix", "--kills", str(KILLS), "--durability", "memory",
                "--only", kind]  # fmt: skip
    return [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", check]


def run(tree: Path, mutation: Mutation, unchanged: bool) -> str:
    """Apply it to the tree unless that is to stay unchanged, run its check, take it back."""
    file = tree / mutation.file
    before = file.read_text()
    if before.count(mutation.old) != 1:
        return BROKEN
    file.write_text(before if unchanged else before.replace(mutation.old, mutation.new))
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command_of(mutation.check),
            cwd=tree,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return KILLED  # what hangs is noticed
    finally:
        file.write_text(before)
    if done.returncode == 0:
        return SURVIVED
    return KILLED if done.returncode == TEST_FAILED or done.returncode < 0 else BROKEN


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/mutations.py", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--rule", type=int, nargs="+", help="only the mutations of these rules (default: all)")
    parser.add_argument("--unchanged", action="store_true", help="break nothing: every test must pass")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    chosen = [each for each in MUTATIONS if options.rule is None or each.rule in options.rule]
    if not chosen:
        parser.error("no rule has such a number")
    results = []
    with tempfile.TemporaryDirectory(prefix="statevec-mutations-") as folder:
        copy_tree(Path(folder))
        for mutation in chosen:
            started = time.monotonic()
            result = run(Path(folder), mutation, options.unchanged)
            results.append(
                {"rule": mutation.rule, "breaks": mutation.breaks, "check": mutation.check, "result": result}
            )
            shown = f"{mutation.rule:>2} {result:<9} {time.monotonic() - started:6.1f} s  {mutation.breaks}"
            print(shown, file=sys.stderr, flush=True)
    if options.format == "json":
        print(json.dumps(results))
    else:
        for each in results:
            print(f"{each['rule']:>2} {each['result']:<9} {each['breaks']}: {each['check']}")
    wanted = SURVIVED if options.unchanged else KILLED
    return 0 if all(each["result"] == wanted for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
