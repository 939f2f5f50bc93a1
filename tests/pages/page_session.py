"""A page of the documentation, run as a session: each command, and its output of the shape that the page shows.

What is compared: words as they stand; numbers, hashes and times by their kind, also behind `=`, `[`, `:` and `#`;
spaces, rules of tables and empty lines not at all, events where the page shows some. `…` stands for any rest of a line,
or alone for any lines. A command with `&` goes on until `kill %1`.

A number of the page that this run shows as another one is that other one in all commands that follow: the page asks for
the order that it was shown.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import statevec.plugins
from statevec.engine.instance import open_instance

DOCS = Path(__file__).parents[2] / "docs"
WAIT_SECONDS = 600.0
"""A first time compiles."""
KINDS = (
    (r"\d{4}-\d\d-\d\dT\S+", r"\d{4}-\d\d-\d\dT\S+"),
    (r"[0-9a-f]{12,}", r"[0-9a-f]{12,}"),
    (r"\d+-\d+", r"\d+-\d+"),
    (r"-?\d[\d,]*(?:\.\d+)?", r"-?\d[\d,]*(?:\.\d+)?"),
    (r"─+", r"─+"),
)
EVENT = '{"event":'
FAILS = ("error: ", "First unexpected difference")
NAMED_NUMBER = re.compile(r"\d{3,}")
"""So many digits name something, an entry or an order; fewer may be anything."""


@dataclass
class Step:
    """A command of the page and the lines below it."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether it must end with a status other than 0."""
        return any(line.startswith(FAILS) for line in self.shown)

    @property
    def shows_events(self) -> bool:
        return any(line.startswith(EVENT) for line in self.shown)


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


def _parts(token: str) -> list[str]:
    """A token's words, and what separates them."""
    if re.fullmatch(KINDS[0][0], token):
        return [token]
    return re.split(r"([()\[\],;:=#…]+)", token)


def _part_pattern(part: str) -> str:
    for kind, pattern in KINDS:
        if re.fullmatch(kind, part):
            return f"({pattern})" if NAMED_NUMBER.fullmatch(part) else pattern
    return re.escape(part).replace("…", ".*")


def token_pattern(token: str) -> str:
    """A word as it stands, a number, a hash or a time as any other; punctuation around it stays."""
    return "".join(_part_pattern(part) for part in _parts(token))


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


def named_numbers(shown: list[str]) -> list[str]:
    """The numbers in lines of the page that name something: one for each group of `output_pattern`."""
    lines = (line for line in shown if line.strip() != "…")
    parts = (part for line in lines for token in line.split() for part in _parts(token))
    return [part for part in parts if NAMED_NUMBER.fullmatch(part)]


def plain_lines(text: str, events: bool = False) -> str:
    """Output without empty lines and with single spaces; with its events, or without."""
    lines = (" ".join(line.split()) for line in text.splitlines() if events or not line.startswith(EVENT))
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
        self.numbers: dict[str, str] = {}
        """Numbers of the page, and what this run has in their place."""

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
                ["bash", "-o", "pipefail", "-c", self._command(step)],
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
        while not pattern.match(plain_lines(self.written.read_text(), step.shows_events)):
            assert self.background.poll() is None, self.written.read_text()
            assert time.monotonic() < deadline, self.written.read_text()
            time.sleep(0.02)

    def _compare(self, step: Step, text: str) -> None:
        found = plain_lines(text, step.shows_events)
        match = output_pattern(step.shown).fullmatch(found)
        shown = "\n".join(step.shown)
        assert match, f"$ {step.command}\n{found}\nis not like\n{shown}"
        for page, here in zip(named_numbers(step.shown), match.groups(), strict=True):
            self.numbers.setdefault(page, here)

    def _command(self, step: Step) -> str:
        """The command with this run's numbers."""
        return NAMED_NUMBER.sub(lambda match: self.numbers.get(match[0], match[0]), step.command)

    def clean_up(self) -> None:
        """Leave no process and no shared memory, whatever happened."""
        if self.background is not None and self.background.poll() is None:
            self.background.kill()
            self.background.wait()
        for file in self.directory.glob("*/instance/instance.json"):
            for path in Path("/dev/shm").glob(f"sv-{open_instance(file.parent).instance_id:016x}-*"):
                path.unlink()
