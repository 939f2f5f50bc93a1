"""Exposure against limits over time, of an instrument of the hedge: what its records were after each change.

    positions ─► position          orders ─► what may still be bought and sold          risk_settings ─► the limit
    position + what may still be bought   is the worst case upwards;   − what may still be sold   downwards

Invariants
    Everything comes out of the journal's record versions and order updates; nothing of the plugin runs.
    A fill counts once: a position update may contain it before the order's own update has come, and which fills it
    contains the later update tells. (The engine, which cannot know that, counts such a fill as still open.)

Values only; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from statevec.audit.journal_columns import ColumnTypeError, Journal, UnknownNameError
from statevec.audit.plots_figures import Array, Line, Panel, Picture, PlotError, journal_start, number, ranges, thin
from statevec.state.delta_layout import DELETED

BUY = 1
FINAL_STATUSES = (3, 4, 5)
"""Values of the hedge schema's `Side` and `OrderStatus`: on the wire they never change their meaning."""
Columns = dict[str, Array]


FIELDS = {
    "positions": ("sequence", "timestamp_ns", "instrument", "quantity", "venue_sequence"),
    "orders": (
        *("sequence", "timestamp_ns", "instrument", "operation", "order_id", "side", "status"),
        *("quantity", "filled", "settled"),
    ),
    "risk_settings": ("sequence", "timestamp_ns", "instrument", "position_limit"),
}
UPDATE_FIELDS = ("order_id", "venue_sequence", "filled_quantity")


def _records(journal: Journal, table: str, first: int, last: int) -> Columns:
    return journal.versions(table, first=first, last=last)


def _updates(journal: Journal, first: int, last: int) -> Columns:
    return journal.columns("OrderUpdate", first=first, last=last)


def _gather(read: Callable[[int, int], Columns], names: Sequence[str], spans: Sequence[tuple[int, int]]) -> Columns:
    """Some columns of all spans, read one after the other: whole rows of a long journal would not fit in memory."""
    try:
        parts = [{name: np.asarray(found[name]) for name in names} for found in (read(*span) for span in spans)]
    except (UnknownNameError, ColumnTypeError, KeyError) as error:
        raise PlotError(f"exposure is drawn of the hedge's records: {error}") from error
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _chosen(positions: Columns, orders: Columns, wanted: int | None) -> int:
    """The instrument asked for, or the one with the most changes."""
    there = np.concatenate([np.asarray(each["instrument"]) for each in (positions, orders)])
    if len(there) == 0:
        raise PlotError("no position and no order changed in this range")
    numbers, counts = np.unique(there, return_counts=True)
    if wanted is None:
        return int(numbers[np.argmax(counts)])
    if wanted not in numbers:
        raise PlotError(f"instrument has no position and no order here: instrument={wanted} there={numbers.tolist()}")
    return wanted


def _of(columns: Columns, instrument: int) -> Columns:
    mine = np.asarray(columns["instrument"]) == instrument
    return {name: np.asarray(values)[mine] for name, values in columns.items()}


def _contained(updates: Columns, positions: Columns) -> Columns:
    """When the venue's position contained how much of each order: a position holds every fill up to its number."""
    updates = {name: values[np.argsort(updates["venue_sequence"], kind="stable")] for name, values in updates.items()}
    known = np.searchsorted(np.maximum.accumulate(positions["venue_sequence"]), updates["venue_sequence"], side="left")
    there = known < len(known_at := np.asarray(positions["sequence"]))
    return {
        "order_id": updates["order_id"][there],
        "sequence": known_at[known[there]],
        "contained": updates["filled_quantity"][there],
    }


def _hold(values: Array, given: Array, first: Array) -> Array:
    """Of each row the last value that was given in its group up to it, 0 before one was; `first` begins a group."""
    places = np.where(given | first, np.arange(len(values)), 0)
    held: Array = np.where(given, values, 0)[np.maximum.accumulate(places)]
    return held


def _may_still(orders: Columns, contained: Columns, buys: bool) -> tuple[Array, Array]:
    """At which sequences what may still be bought (or sold) changed, and by how many lots."""
    final = np.isin(orders["status"], FINAL_STATUSES)
    most = np.where(final, orders["filled"], orders["quantity"])
    gone = (orders["operation"] == DELETED) | ((orders["side"] == BUY) != buys)
    ids = np.concatenate([orders["order_id"], contained["order_id"]])
    sequences = np.concatenate([orders["sequence"], contained["sequence"]])
    of_order = np.arange(len(ids)) < len(most)
    by_order = np.lexsort((of_order, sequences, ids))
    ids, sequences, of_order = ids[by_order], sequences[by_order], of_order[by_order]
    first = np.append(True, ids[1:] != ids[:-1])
    zeros = np.zeros(len(contained["contained"]), np.int64)
    most = _hold(np.concatenate([np.where(gone, 0, most), zeros])[by_order], of_order, first)
    settled = _hold(np.concatenate([orders["settled"], zeros])[by_order], of_order, first)
    fills = np.concatenate([np.zeros(len(gone), np.int64), contained["contained"]])[by_order]
    now = np.maximum(most - np.maximum(settled, _hold(fills, ~of_order, first)), 0)
    changes: Array = np.diff(now, prepend=0)
    changes[first] = now[first]
    by_sequence = np.argsort(sequences, kind="stable")
    return sequences[by_sequence], changes[by_sequence]


def _held(at: Array, sequences: Array, values: Array) -> Array:
    """The value that holds at each sequence of `at`, 0 before the first."""
    places = np.searchsorted(sequences, at, side="right")
    held: Array = np.concatenate([[0], values])[places]
    return held


def exposure(journal: Journal, first: int | None, last: int | None, instrument: int | None) -> Picture:
    """Position, worst cases and limit of an instrument; by default of the one with the most changes."""
    if first is not None:
        raise PlotError("exposure adds up from the first entry on: leave out --from")
    if (start := journal_start(journal)) > 1:
        raise PlotError(f"exposure adds up from the first entry on: the journal begins at {start}, give --cold DIR")
    spans = list(ranges(journal, None, last))
    tables = {table: _gather(partial(_records, journal, table), names, spans) for table, names in FIELDS.items()}
    chosen = _chosen(tables["positions"], tables["orders"], instrument)
    positions, orders, limits = (_of(each, chosen) for each in tables.values())
    updates = _gather(partial(_updates, journal), UPDATE_FIELDS, spans)
    mine = np.isin(updates["order_id"], orders["order_id"])
    contained = _contained({name: values[mine] for name, values in updates.items()}, positions)
    at = np.unique(np.concatenate([each["sequence"] for each in (positions, orders, limits)]))
    times = np.zeros(len(at), np.int64)
    for each in (positions, orders, limits):
        times[np.searchsorted(at, each["sequence"])] = each["timestamp_ns"]
    position = _held(at, positions["sequence"], positions["quantity"])
    buys, sells = (
        _held(at, changed, np.cumsum(changes))
        for changed, changes in (_may_still(orders, contained, True), _may_still(orders, contained, False))
    )
    limit = _held(at, limits["sequence"], limits["position_limit"])
    highest, lowest = position + buys, position - sells
    seconds = (times - times[0]) / 1e9
    lines = [
        Line(*thin(seconds, position), "position", step=True),
        Line(*thin(seconds, highest), "if all buys fill", step=True),
        Line(*thin(seconds, lowest), "if all sells fill", step=True),
        Line(*thin(seconds, limit), "limit", step=True, dashed=True),
        Line(*thin(seconds, -limit), "", step=True, dashed=True),
    ]
    worst = np.maximum(highest, -lowest)
    beyond = at[worst > limit]
    rows = [
        ("instrument", str(chosen)),
        ("changes", number(len(at))),
        ("highest position, lots", number(int(np.abs(position).max()))),
        ("highest worst case, lots", number(int(worst.max()))),
        ("position limit at the end, lots", number(int(limit[-1]))),
        ("changes that left it beyond the limit", number(len(beyond))),
        *([("the first of them, sequence", number(int(beyond[0])))] if len(beyond) else []),
    ]
    panel = Panel(f"instrument {chosen}", "s since its first change", "lots", lines)
    return Picture("exposure", "Exposure against the position limit", [panel], rows)
