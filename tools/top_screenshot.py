"""A picture of `statevec top` on the demonstration while it runs: `python -m tools.top_screenshot docs/top.svg`.

The demonstration is a real run in a temporary directory; the picture is taken when a shadow compares and a standby
follows, or after `--seconds` of the market. Nothing is left behind but the picture.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from statevec.cli.top_app import TopApp
from statevec.engine.instance import InstanceError, open_instance
from statevec.roles.live import look
from statevec.roles.live_sample import LEADS, Sample

SIZE = (100, 32)
WAIT_SECONDS = 300.0
LOOKS = 4
FONTS = re.compile(r"@font-face \{[^}]*\}\s*")
"""A picture loads nothing from elsewhere."""


def _wait_for_sight(directory: Path, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Until there is something to see: a shadow and a standby beside the leader, with entries under way."""
    deadline, since = time.monotonic() + WAIT_SECONDS, None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            sample: Sample | None = look(open_instance(directory))
        except (InstanceError, OSError):
            sample = None
        if sample is not None and sample.state == LEADS and sample.last_sequence > 1_000:
            since = since or time.monotonic()
            if (sample.standbys and sample.shadows) or time.monotonic() - since > seconds:
                return
        time.sleep(0.05)
    raise SystemExit("the demonstration ended before there was anything to see")


async def _picture(directory: Path) -> str:
    app = TopApp(open_instance(directory))
    async with app.run_test(size=SIZE) as pilot:
        while app.looks < LOOKS:
            await pilot.pause(0.1)
        return app.export_screenshot(title="statevec top")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/top_screenshot", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the market, at the latest (default 20)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="statevec-top-") as temporary:
        command = ["demo", "--directory", temporary, "--generated", "30000", "--rate", "1500"]
        process = subprocess.Popen(
            [sys.executable, "-m", "statevec.cli.main", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for_sight(Path(temporary) / "instance", process, arguments.seconds)
            picture = asyncio.run(_picture(Path(temporary) / "instance"))
        finally:
            process.terminate()
            process.wait()
    picture = FONTS.sub("", picture).replace(temporary, "/srv")
    arguments.out.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
