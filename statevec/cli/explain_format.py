"""How `explain`, `what-if`, `state` and `diff` write values and lines: at most 100 columns, plain when piped.

Nothing here keeps state.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from statevec.audit.explain_kinds import time_text
from statevec.journal.plain_text import line_text

WIDTH_MAX = 100
YEAR_2000_NS = 946_684_800_000_000_000
YEAR_2100_NS = 4_102_444_800_000_000_000

Progress = Any


def console() -> Console:
    """Standard output: as wide as the terminal, at most WIDTH_MAX; without colours where it is none."""
    made = Console(highlight=False, markup=False, emoji=False)
    made.width = min(made.width, WIDTH_MAX) if made.is_terminal else WIDTH_MAX
    return made


def value_text(name: str, value: Any) -> str:
    """A value; one of a field that is a point in time as UTC, with its nanoseconds."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_ns") and YEAR_2000_NS <= value < YEAR_2100_NS:
        return time_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(pairs(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(value_text("", each) for each in value) + "]"
    return str(value)


def pairs(fields: Mapping[str, Any]) -> list[str]:
    """`name=value` of each field."""
    return [f"{name}={value_text(name, value)}" for name, value in fields.items()]


def wrapped(parts: Iterable[str], indent: int, width: int = WIDTH_MAX, separator: str = "  ") -> Iterator[str]:
    """Indented lines of parts that stay whole where they fit; one that is wider than a line is cut in pieces."""
    line = ""
    room = max(width - indent, 20)
    for part in parts:
        whole = f"{line}{separator}{part}" if line else part
        if len(whole) <= room:
            line = whole
            continue
        if line:
            yield " " * indent + line
        while len(part) > room:
            yield " " * indent + part[:room]
            part = "  " + part[room:]
        line = part
    if line:
        yield " " * indent + line


class Page:
    """Lines for the console, wrapped where they are too long for it; what is not printable is escaped."""

    def __init__(self, target: Console) -> None:
        self._console = target
        self.width = target.width

    def heading(self, text: str) -> None:
        """A section's name, an empty line before it."""
        self._console.print()
        self.line(text, "bold")

    def line(self, text: str, style: str = "", hang: int | None = None) -> None:
        """One line; what does not fit goes on in the next ones, `hang` columns in (two more than the first)."""
        text = line_text(text)
        indent = len(text) - len(text.lstrip()) + 2 if hang is None else hang
        while len(text) > self.width:
            cut = text.rfind(" ", indent + 1, self.width + 1)
            cut = self.width if cut < 0 else cut
            self._console.print(Text(text[:cut].rstrip(), style), soft_wrap=True)
            text = " " * indent + text[cut:].lstrip()
        self._console.print(Text(text, style), soft_wrap=True)

    def parts(self, parts: Iterable[str], indent: int, style: str = "") -> None:
        """Parts that stay whole, in as many lines as they need."""
        for each in wrapped(map(line_text, parts), indent, self.width):
            self._console.print(Text(each, style), soft_wrap=True)


@contextmanager
def progress_line() -> Iterator[Progress]:
    """A callback `(sequence, goal)` that shows on standard error, while it is a terminal, how far execution is."""
    shown = sys.stderr.isatty()

    def show(sequence: int, goal: int) -> None:
        if shown:
            sys.stderr.write(f"\rexecuting the journal again: {sequence:,} of {goal:,}\x1b[K")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
