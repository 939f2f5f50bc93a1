"""What a picture shows, without a library that draws: panels of lines and bars, and the table beside them.

    Picture(title, [Panel, …], rows)        `plots_drawing` makes a PNG of it, `plots_page` an HTML page

Invariant: arrays of one line have the same length; everything that is drawn is in `Panel`, everything that is said in
`rows`.

Values only; nothing is written or kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from statevec.audit.journal_columns import Journal
from statevec.ipc.faults import COMMITTED
from statevec.journal.entry_layout import CUTOVER, LEADERSHIP

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK_ENTRIES = 1_000_000
POINTS_MOST = 4_000
"""More points than a picture can show are reduced to the highest and lowest of each stretch."""


class PlotError(Exception):
    """There is nothing to draw; the text says what is missing."""


@dataclass(frozen=True)
class Line:
    """A line: `step` where a value holds until the next one."""

    x: Array
    y: Array
    label: str
    step: bool = False
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A vertical line with a word at it."""

    x: float
    label: str


@dataclass(frozen=True)
class Bars:
    """Bars between `edges`, one more than `heights`."""

    edges: Array
    heights: Array
    label: str


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line] = field(default_factory=list)
    bars: list[Bars] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture and the figures that it stands for."""

    name: str
    title: str
    panels: list[Panel]
    rows: list[tuple[str, str]]


def chunks(journal: Journal, first: int | None, last: int | None) -> Iterator[dict[str, Array]]:
    """The headers of the entries `first` to `last`, at most `CHUNK_ENTRIES` at a time."""
    for start, stop in ranges(journal, first, last):
        yield journal.entries(first=start, last=stop)


def ranges(journal: Journal, first: int | None, last: int | None) -> Iterator[tuple[int, int]]:
    """The sequences `first` to `last` in ranges of at most `CHUNK_ENTRIES`, first and last of each."""
    end = journal_end(journal)
    start = journal_start(journal) if first is None else first
    if start > end:
        raise PlotError(f"the journal ends before that: from={start} last={end}")
    end = end if last is None else min(last, end)
    while start <= end:
        stop = min(start + CHUNK_ENTRIES - 1, end)
        yield start, stop
        start = stop + 1


def journal_end(journal: Journal) -> int:
    """Sequence of the last entry; `PlotError` without any."""
    last = journal.reader().last_sequence()
    if last == 0:
        raise PlotError(f"the journal holds no entry: {journal.instance.journal_directory}")
    return last


def journal_start(journal: Journal) -> int:
    """Sequence of the first entry that the journal's files hold."""
    reader = journal.reader()
    first = reader.first_entry_of_unit(reader.first_position)
    return 1 if first is None else first.sequence


def events_of(chunk: dict[str, Array]) -> list[tuple[int, int, str]]:
    """Sequence, time (ns) and a word for each cutover and each leadership but genesis."""
    kinds = np.asarray(chunk["kind"])
    found = []
    took_place = (kinds == CUTOVER) & (chunk["outcome"] == COMMITTED)
    for place in np.flatnonzero(took_place | (kinds == LEADERSHIP)):
        sequence, at = int(chunk["sequence"][place]), int(chunk["timestamp_ns"][place])
        if kinds[place] == CUTOVER:
            found.append((sequence, at, "cutover"))
        elif sequence > 1:
            found.append((sequence, at, f"epoch {int(chunk['epoch'][place])}"))
    return found


def thin(x: Array, y: Array) -> tuple[Array, Array]:
    """The same line with at most about `POINTS_MOST` points: of each stretch its lowest and highest."""
    if len(x) <= POINTS_MOST:
        return x, y
    starts = np.linspace(0, len(x), POINTS_MOST // 2, endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], len(x))
    places = []
    for start, end in zip(starts, ends, strict=True):
        part = y[start:end]
        places += sorted({start + int(np.argmin(part)), start + int(np.argmax(part))})
    kept = np.array(sorted({0, *places, len(x) - 1}))
    return x[kept], y[kept]


def number(value: float) -> str:
    """A figure for a table: whole with commas, or with as many digits as say something."""
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.3g}"
