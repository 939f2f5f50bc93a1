"""`statevec …` with one call on a file that fails: `python -m tests.faults.faulty_process CONTROL statevec's words…`

CONTROL is a JSON file: `roots` that are watched, `fault` or null, and where `calls` (at the end) and `hit` (at the
moment of the fault) are written. The code that runs is what ships, compiled kernels included.
"""

from __future__ import annotations

import atexit
import json
import sys
from pathlib import Path

from tests.faults.injector import REAL, Call, Fault, Injector


def main() -> None:
    control = json.loads(Path(sys.argv[1]).read_text())
    injector = Injector([Path(root) for root in control["roots"]])
    if control["fault"] is not None:
        call, *rest = control["fault"]
        injector.fault = Fault(Call(*call), *rest)

    def write(name: str, found: object) -> None:
        file = REAL["open"](control[name], 0o1101, 0o600)  # for writing, new
        REAL["write"](file, json.dumps(found).encode())

    injector.on_hit = lambda: write("hit", injector.hit)
    atexit.register(lambda: write("calls", [[*key, count] for key, count in injector.counts.items()]))
    atexit.register(lambda: [print(f"unseen: {each}", file=sys.stderr) for each in injector.unseen])
    injector.replace_native()
    injector.install()
    from statevec.cli.main import main as statevec

    statevec(sys.argv[2:])


if __name__ == "__main__":
    main()
