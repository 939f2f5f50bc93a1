"""`docs/upgrades.md`, run: each command of the page against a live engine, its output of the shape that the page shows.

What is compared: words as they stand; numbers, hashes and times by their kind; spaces, rules of tables and empty lines
not at all. `…` stands for any rest of a line, or alone for any lines. A command with `&` goes on until `kill %1`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import statevec.plugins
from statevec.audit.verify import verify_instance
from statevec.engine.instance import open_instance

PAGE = Path(__file__).parents[2] / "docs" / "upgrades.md"
WAIT_SECONDS = 600.0
"""A first time compiles."""
KINDS = (
    (r"\d{4}-\d\d-\d\dT\S+", r"\d{4}-\d\d-\d\dT\S+"),
    (r"[0-9a-f]{12,}", r"[0-9a-f]{12,}"),
    (r"\d+-\d+", r"\d+-\d+"),
    (r"-?\d[\d,]*(\.\d+)?", r"-?\d[\d,]*(\.\d+)?"),
    (r"─+", r"─+"),
)
FAILS = ("error: ", "First unexpected difference")


@dataclass
class Step:
    """A command of the page and the lines below it."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether it must end with a status other than 0."""
        return any(line.startswith(FAILS) for line in self.shown)


def steps_of(page: str) -> list[Step]:
    """The commands of all console blocks."""
    steps: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            else:
                steps[-1].shown.append(line)
    return steps


def token_pattern(token: str) -> str:
    """A word as it stands, a number, a hash or a time as any other; punctuation around it stays."""
    before, core, after = re.fullmatch(r"([(\[]*)(.*?)([)\],;:…]*)", token, re.DOTALL).groups()  # type: ignore[union-attr]
    for kind, pattern in KINDS:
        if re.fullmatch(kind, core):
            return re.escape(before) + pattern + re.escape(after).replace("…", ".*")
    return re.escape(token).replace("…", ".*")


def output_pattern(shown: list[str]) -> re.Pattern[str]:
    """What the whole output must be like."""
    parts = []
    for line in shown:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        elif line.strip():
            words = " ".join(token_pattern(token) for token in line.split())
            parts.append(words.replace(" .*", ".*") + r"\n")
    return re.compile("".join(parts))


def plain_lines(text: str) -> str:
    """Output without empty lines and with single spaces."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


class Session:
    """A shell in a directory of its own, with `statevec` of this checkout and a link to its plugins."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "plugins").symlink_to(Path(statevec.plugins.__path__[0]))
        program = directory / "bin" / "statevec"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m statevec.cli.main "$@"\n')
        program.chmod(0o755)
        root = str(Path(statevec.plugins.__path__[0]).parents[1])
        self.environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": root}
        self.background: subprocess.Popen[bytes] | None = None
        self.written = directory / "background"

    def run(self, step: Step) -> None:
        """Run one step; its output must be like the page's, its status too."""
        if step.command.endswith(" &"):
            self._start(step)
        elif step.command == "kill %1":
            assert self.background is not None
            self.background.send_signal(signal.SIGTERM)
            assert self.background.wait(WAIT_SECONDS) == 0
            self._compare(step, self.written.read_text())
        else:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", step.command],
                cwd=self.directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=WAIT_SECONDS,
                check=False,
            )
            self._compare(step, done.stdout)
            assert (done.returncode != 0) is step.fails, f"$ {step.command}\n{done.stdout}"

    def _start(self, step: Step) -> None:
        """Start a command that goes on, and wait until it has written what is shown."""
        assert self.background is None
        with open(self.written, "wb") as written:
            self.background = subprocess.Popen(
                ["bash", "-c", f"exec {step.command.removesuffix(' &')}"],
                cwd=self.directory,
                env=self.environment,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        pattern = output_pattern(step.shown)
        deadline = time.monotonic() + WAIT_SECONDS
        while not pattern.match(plain_lines(self.written.read_text())):
            assert self.background.poll() is None, self.written.read_text()
            assert time.monotonic() < deadline, self.written.read_text()
            time.sleep(0.02)

    @staticmethod
    def _compare(step: Step, text: str) -> None:
        found = plain_lines(text)
        pattern = output_pattern(step.shown)
        shown = "\n".join(step.shown)
        assert pattern.fullmatch(found), f"$ {step.command}\n{found}\nis not like\n{shown}"

    def clean_up(self) -> None:
        """Leave no process and no shared memory, whatever happened."""
        if self.background is not None and self.background.poll() is None:
            self.background.kill()
            self.background.wait()
        instance = self.directory / "desk" / "instance"
        if (instance / "instance.json").exists():
            for path in Path("/dev/shm").glob(f"sv-{open_instance(instance).instance_id:016x}-*"):
                path.unlink()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    try:
        yield made
    finally:
        made.clean_up()


def test_the_page_is_a_session_that_works(session: Session) -> None:
    steps = steps_of(PAGE.read_text())
    assert len(steps) > 15
    for step in steps:
        session.run(step)
    assert verify_instance(session.directory / "desk" / "instance").verified
    assert (session.directory / "shadow.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("shown", "written", "alike"),
    [
        ("entry 12: accepted", "entry 3,456: accepted", True),
        ("entry 12: accepted", "entry twelve: accepted", False),
        ("hedge@1.0.0  0123456789ab", "hedge@1.0.0 fedcba987654", True),
        ("hedge@1.0.0  0123456789ab", "hedge@1.0.1 fedcba987654", False),
        ("error: refused …", "error: refused (entry 7): no", True),
        ("…\nunexpected  0\n…", "same 4\nunexpected 0\nmigration none", True),
        ("verified   True", "verified False", False),
    ],
)
def test_outputs_are_compared_by_words_and_kinds(shown: str, written: str, alike: bool) -> None:
    assert bool(output_pattern(shown.splitlines()).fullmatch(plain_lines(written))) is alike
