"""A real engine process for the measurements: hedge plugin, one ring, its journal in a temporary directory.

With two cores the engine thread has core 0; feeder, gateway and journaler share core 1.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statevec.codecs.schema import Schema

HEDGE = Path(__file__).resolve().parent.parent / "statevec" / "plugins" / "hedge"
RING = "market"
START_SECONDS = 600


@contextmanager
def running_engine(durability: str, idle: str = "spin") -> Iterator[Path]:
    """Start `statevec run` and wait until it leads; yields the instance's directory. Ends and removes all of it."""
    folder = Path(tempfile.mkdtemp(prefix="statevec-bench-"))
    configuration = folder / "engine.toml"
    configuration.write_text(
        f'[instance]\ndirectory = "instance"\ndurability = "{durability}"\n[plugin]\npath = "{HEDGE}"\n'
        f'[log]\ncapacity = "64MiB"\n[engine]\nidle = "{idle}"\ncore = 0\n'
        f'[[ring]]\nname = "{RING}"\ncapacity = "4MiB"\n'
    )
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "statevec.cli.main", "run", str(configuration), "--ready-fd", str(writing)]
    with open(folder / "errors", "wb") as errors:
        process = subprocess.Popen(command, pass_fds=[writing], stderr=errors)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], START_SECONDS)
        if not ready or not os.read(reading, 4096):
            raise RuntimeError(f"the engine did not start: {(folder / 'errors').read_text()[-500:]}")
        yield folder / "instance"
    finally:
        os.close(reading)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        clean = [
            sys.executable,
            "-m",
            "statevec.cli.main",
            "clean",
            "--instance",
            str(folder / "instance"),
            "--discard",
        ]
        subprocess.run(clean, check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def hedge_messages(count: int) -> tuple[bytes, int]:
    """`count` MarketData messages in a row, all of one length, and that length, bytes."""
    schema = Schema.load(HEDGE / "hedge.xml")
    made = []
    for number in range(count):
        bid = 100_000 + number * 7 % 50
        fields = {"instrument": 1, "bid_price": bid, "ask_price": bid + 4, "bid_size": 10, "ask_size": 10}
        made.append(schema.encode("MarketData", fields | {"exchange_time_ns": 1_700_000_000_000_000_000 + number}))
    return b"".join(made), len(made[0])
