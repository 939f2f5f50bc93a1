"""Pictures of how entries flow: latency from sent to sequenced, throughput over time, the gap around an event.

Times are those of the journal: *sent* as the producer stamped it, *sequenced* the transaction's time, which is when the
turn began that took the input. What was sent during that turn comes out as 0.

Values only; nothing is written.
"""

from __future__ import annotations

import numpy as np

from statevec.audit.journal_columns import Journal
from statevec.audit.plots_figures import (
    Array,
    Bars,
    Line,
    Mark,
    Panel,
    Picture,
    PlotError,
    chunks,
    events_of,
    journal_end,
    journal_start,
    number,
)
from statevec.journal.entry_layout import COMMAND

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}
LATENCY_BINS = 120
TIME_BINS = 240
AROUND_ENTRIES = 2_000
MICROSECOND, SECOND = 1e3, 1e9


def _late_ns(chunk: dict[str, Array]) -> Array:
    """Time from sent to sequenced of each input that says when it was sent."""
    inputs = (np.asarray(chunk["kind"]) == COMMAND) & (chunk["sent_ns"] > 0)
    late: Array = np.maximum(chunk["timestamp_ns"][inputs] - chunk["sent_ns"][inputs], 0)
    return late


def latency(journal: Journal, first: int | None, last: int | None) -> Picture:
    """How long inputs took from sent to sequenced."""
    late = np.concatenate([_late_ns(chunk) for chunk in chunks(journal, first, last)])
    if len(late) == 0:
        raise PlotError("no input in this range says when it was sent")
    shown: Array = late[late > 0] / MICROSECOND if late.any() else np.ones(1)
    high = float(shown.max())
    edges = np.geomspace(min(float(shown.min()), high / 10), high * 1.001, LATENCY_BINS + 1)
    heights, _ = np.histogram(shown, edges)
    ranks = {name: float(np.percentile(late, rank)) for name, rank in PERCENTILES.items()}
    marks = [Mark(max(value, 1) / MICROSECOND, name) for name, value in ranks.items()]
    panel = Panel("sent to sequenced", "µs", "inputs", bars=[Bars(edges, heights, "inputs")], marks=marks, log_x=True)
    figures = {"mean": float(late.mean()), **ranks, "highest": float(late.max())}
    rows = [("inputs", number(len(late)))]
    rows += [(f"{name}, µs", number(round(value / MICROSECOND, 3))) for name, value in figures.items()]
    rows.append(("sent within the turn that took them", number(int((late == 0).sum()))))
    return Picture("latency", "Latency of inputs", [panel], rows)


def throughput(journal: Journal, first: int | None, last: int | None) -> Picture:
    """Entries by the second over time, with cutovers and leaderships."""
    times, faulted, rejected, events = [], [], [], []
    for chunk in chunks(journal, first, last):
        at = chunk["timestamp_ns"]
        times.append(at)
        faulted.append(at[chunk["outcome"] < 0])
        rejected.append(at[chunk["outcome"] > 0])
        events += events_of(chunk)
    begin, end = min(int(each.min()) for each in times), max(int(each.max()) for each in times)
    edges = np.linspace(0, max(end - begin, 1), TIME_BINS + 1) / SECOND
    width = float(edges[1] - edges[0])
    middle = (edges[:-1] + edges[1:]) / 2

    def by_second(values: list[Array]) -> Array:
        since = (np.concatenate(values) - begin) / SECOND  # a time itself is too long for a float
        counted: Array = np.histogram(since, edges)[0] / width
        return counted

    lines = [Line(middle, by_second(times), "entries")]
    for name, values in (("rejected", rejected), ("faulted", faulted)):
        if sum(len(each) for each in values):
            lines.append(Line(middle, by_second(values), name))
    marks = [Mark((when - begin) / SECOND, word) for _, when, word in events]
    panel = Panel("entries by the second", "s since the first entry shown", "entries/s", lines, marks=marks)
    seconds, entries = (end - begin) / SECOND, sum(len(each) for each in times)
    rows = [
        ("entries", number(entries)),
        ("seconds", number(round(seconds, 3))),
        ("entries/s, mean", number(entries / seconds if seconds else 0.0)),
        (f"entries/s, highest of {width:.3g} s", number(float(lines[0].y.max()))),
        ("rejected", number(sum(len(each) for each in rejected))),
        ("faulted", number(sum(len(each) for each in faulted))),
        *((f"{word} at sequence", number(sequence)) for sequence, _, word in events),
    ]
    return Picture("throughput", "Throughput", [panel], rows)


def last_event(journal: Journal) -> tuple[int, str]:
    """Sequence and word of the last cutover or leadership but genesis."""
    found = [event for chunk in chunks(journal, None, None) for event in events_of(chunk)]
    if not found:
        raise PlotError("the journal has no cutover and no change of leaders: say which entry with --around SEQUENCE")
    return found[-1][0], found[-1][2]


def lag(journal: Journal, around: int | None, width: int = AROUND_ENTRIES) -> Picture:
    """The time between neighbouring entries, and how late inputs were, around an entry."""
    sequence, word = last_event(journal) if around is None else (around, "the entry")
    start, end = journal_start(journal), journal_end(journal)
    if not start <= sequence <= end:
        raise PlotError(f"the journal does not hold that entry: sequence={sequence} first={start} last={end}")
    chunk = journal.entries(first=max(start, sequence - width), last=min(end, sequence + width))
    at, sequences = chunk["timestamp_ns"], chunk["sequence"]
    place = int(np.searchsorted(sequences, sequence))
    since = (at - at[place]) / 1e6
    gaps = np.diff(at) / MICROSECOND
    if len(gaps) == 0:
        raise PlotError(f"there is nothing around the only entry: sequence={sequence}")
    inputs = (np.asarray(chunk["kind"]) == COMMAND) & (chunk["sent_ns"] > 0)
    late = np.maximum(at[inputs] - chunk["sent_ns"][inputs], 0) / MICROSECOND
    mark = [Mark(0.0, word)]
    apart = gaps > 0  # entries of one turn have one time
    dots = Line(since[1:][apart], gaps[apart], "gap", dots=True)
    panels = [Panel("time since the entry before", "ms from the event", "µs", [dots], marks=mark, log_y=True)]
    if len(late):
        dots = Line(since[inputs], np.maximum(late, 1e-3), "input", dots=True)
        panels.append(Panel("sent to sequenced", "ms from the event", "µs", [dots], marks=mark, log_y=True))
    before = float(gaps[place - 1]) if place else 0.0
    behind = float(gaps[place]) if place < len(gaps) else 0.0
    rows = [
        ("event", f"{word}, sequence {sequence:,}"),
        ("gap before it, µs", number(round(before, 1))),
        ("gap behind it, µs", number(round(behind, 1))),
        ("longest gap shown, µs", number(round(float(gaps.max()), 1))),
        ("median gap shown, µs", number(round(float(np.median(gaps)), 3))),
        ("latest input shown, µs", number(round(float(late.max()), 1)) if len(late) else "none"),
        ("entries shown", number(len(at))),
    ]
    return Picture("lag", f"Around {word}, sequence {sequence:,}", panels, rows)
