"""How one field of a record becomes the field of the same name in another version: moves, or why it cannot.

    integers, bool, enums   copied, or converted with a check of each value where the new kind holds less
    u64                     to and from signed kinds where the value is not negative either way
    enums                   by number; a number that means another name now is refused, one that is gone at run time
    chars[n]                longer: zeros behind; shorter: what is cut off must be zeros
    f64                     copied
    integer <-> float, number <-> text      refused: a migrate function must assign the field

Nothing here keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.codecs.layout import PRIMITIVES, EnumLayout
from statevec.state import migration_layout as layout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.records import RecordField


@dataclass(frozen=True)
class Move:
    """A move of `migration_layout`: places are offsets in rows; `third` and `fourth` are size, or the two kinds."""

    operation: int
    old_place: int
    new_place: int
    third: int
    fourth: int = 0
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Carried:
    """How a field is carried over. `checked` says what may not fit at run time, empty when everything fits."""

    moves: tuple[Move, ...]
    checked: str = ""


class NotCarriedError(Exception):
    """A field cannot be carried over; the text says why."""


def carry(old: RecordField, new: RecordField, old_enum: EnumLayout | None, new_enum: EnumLayout | None) -> Carried:
    """How `old` becomes `new`; NotCarriedError when that needs a function."""
    places = (ROW_HEADER_SIZE + old.offset, ROW_HEADER_SIZE + new.offset)
    text = old.kind.startswith("char"), new.kind.startswith("char")
    if text == (True, True):
        return _carry_text(old, new, places)
    if any(text):
        raise NotCarriedError(f"{old.kind} does not become {new.kind}")
    floats = old.code == 0, new.code == 0
    if any(floats):
        if old.kind != new.kind:
            raise NotCarriedError(f"{old.kind} does not become {new.kind}")
        return Carried((Move(layout.COPY, *places, old.size),))
    values = _allowed_values(old_enum, new_enum)
    narrower = not _holds(old.kind, new.kind)
    if old.kind == new.kind and not values:
        return Carried((Move(layout.COPY, *places, old.size),))
    checked = "each value must be one of the enum" if values else "each value must fit" if narrower else ""
    return Carried((Move(layout.CONVERT, *places, old.code, new.code, values),), checked)


def _carry_text(old: RecordField, new: RecordField, places: tuple[int, int]) -> Carried:
    copied = Move(layout.COPY, *places, min(old.size, new.size))
    if new.size >= old.size:
        return Carried((copied,))
    cut = Move(layout.WANT_ZERO, places[0] + new.size, places[1], old.size - new.size)
    return Carried((cut, copied), "each text must fit")


def _holds(old: str, new: str) -> bool:
    """Whether every value of an integer kind fits another."""
    before, after = PRIMITIVES[old], PRIMITIVES[new]
    return after.lowest <= before.lowest and before.highest <= after.highest


def _allowed_values(old: EnumLayout | None, new: EnumLayout | None) -> tuple[int, ...]:
    """Values that have to be checked for at run time, empty when all fit: those of the enum, and 0 (never assigned)."""
    if new is None:
        return ()
    if old is not None:
        before, after = dict(old.values), dict(new.values)
        names = {value: name for name, value in new.values}
        for name, value in before.items():
            if after.get(name, value) != value:
                raise NotCarriedError(f"{name} was {value} and is {after[name]} in enum {new.name}")
            if names.get(value, name) != name:
                raise NotCarriedError(f"{value} meant {name} and means {names[value]} in enum {new.name}")
        if set(before.values()) <= set(after.values()):
            return ()
    return tuple(sorted({0, *(value for _, value in new.values)}))
