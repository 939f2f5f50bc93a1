"""The gate for text that may change: a handler uses the text of a record or output before, not after, what changes it.

Such text is a place in memory in compiled code and a copy in the interpreted tier. The two are the same until something
writes that field or deletes a record of that kind. So a use behind that, on any path, is a `PluginError`: of a local
that keeps the text, of an argument, of what an expression took before it called a helper. Text of messages never
changes and may be kept.

Invariant: a helper that changes any text, itself or in what it calls, counts as a change of all text where it is
called; what it does to its own arguments is checked in the helper. So what passes gives the same in both tiers.

It runs on typed code when a plugin is compiled; nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from numba import types
from numba.core import ir

from statevec.codecs.native import CharsType
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.native_kinds import RecordType
from statevec.engine.plugin.native_records import store

DELETE = "plugin.table.delete"
ALL = ("", "")
"""As what was changed: all text; as where text is from: an argument, or the result of a helper."""
Place = tuple[str, str]
"""Record or output, and field; for what a deletion changes the field is empty, which means all."""


@dataclass
class Texts:
    """Of one path: names that hold text with where it is from, and those whose text may have changed, with the line."""

    taken: dict[str, set[Place]]
    changed: dict[str, int]

    def join(self, other: Texts) -> bool:
        """Take over what is true on another path that comes to the same place; whether that was news."""
        before = (sum(len(places) for places in self.taken.values()), len(self.changed))
        for name, places in other.taken.items():
            self.taken.setdefault(name, set()).update(places)
        self.changed = other.changed | self.changed
        return before != (sum(len(places) for places in self.taken.values()), len(self.changed))


def _holds_live_text(kind: Any) -> bool:
    if isinstance(kind, types.BaseTuple):
        return any(_holds_live_text(each) for each in kind)
    if isinstance(kind, types.Optional):
        return _holds_live_text(kind.type)
    return isinstance(kind, CharsType) and kind.live


def _owner(kind: Any) -> str:
    """One name for a record to read and to change; an output's is that of its type."""
    plain = kind.type if isinstance(kind, types.Optional) else kind
    return f"record {plain.record.name}" if isinstance(plain, RecordType) else str(plain)


def _change(value: Any, kinds: dict[str, Any], changing: set[Any]) -> Place | None:
    """What an expression changes; `changing` are the helpers that change text."""
    if not isinstance(value, ir.Expr) or value.op != "call":
        return None
    called = kinds[value.func.name]
    if isinstance(called, types.Dispatcher):
        return ALL if called.dispatcher in changing else None
    if isinstance(called, types.BoundFunction):
        return (f"record {called.this.record.name}", "") if called.template.key == DELETE else None
    if getattr(called, "typing_key", None) is not store:
        return None
    owner, name = (kinds[each.name] for each in value.args[:2])
    plain = owner.type if isinstance(owner, types.Optional) else owner
    field = plain.fields.get(name.literal_value)  # the variable data of an output is no field, and is never read
    return (_owner(owner), name.literal_value) if field is not None and field.kind == "chars" else None


def _assignments(result: Any) -> Iterator[Any]:
    for block in result.type_annotation.blocks.values():
        yield from block.find_insts(ir.Assign)


def changing_helpers(dispatchers: Iterable[Any]) -> set[Any]:
    """The functions of a plugin that change text, themselves or in what they call, as far as they are compiled."""
    compiled = [(each, result) for each in dispatchers for result in each.overloads.values()]
    found: set[Any] = set()
    before = -1
    while len(found) > before:
        before = len(found)
        for dispatcher, result in compiled:
            kinds = result.type_annotation.typemap
            if any(_change(each.value, kinds, found) is not None for each in _assignments(result)):
                found.add(dispatcher)
    return found


def check_text(result: Any, path: str, changing: set[Any]) -> None:
    """PluginError for a use of text that something may have changed since it was taken."""
    kinds = result.type_annotation.typemap
    if not any(_holds_live_text(each) for each in kinds.values()):
        return
    blocks = result.type_annotation.blocks
    first = min(blocks)
    arriving = {first: Texts({}, {})}
    waiting = [first]
    while waiting:
        label = waiting.pop()
        texts = Texts({}, {})
        texts.join(arriving[label])
        for statement in blocks[label].body:
            _statement(statement, kinds, changing, texts, path)
        for target in blocks[label].terminator.get_targets():
            is_new = target not in arriving
            if arriving.setdefault(target, Texts({}, {})).join(texts) or is_new:
                waiting.append(target)


def _statement(statement: Any, kinds: dict[str, Any], changing: set[Any], texts: Texts, path: str) -> None:
    """What one statement does to the texts of a path; PluginError where it uses one that may have changed."""
    if isinstance(statement, ir.Del):
        return
    if not isinstance(statement, ir.Assign):
        _refuse_changed(statement.list_vars(), texts, statement, path)
        return
    value, name = statement.value, statement.target.name
    used = [value] if isinstance(value, ir.Var) else value.list_vars() if isinstance(value, ir.Expr) else []
    is_copy = isinstance(value, ir.Var) or (isinstance(value, ir.Expr) and value.op in ("phi", "cast"))
    lines = [texts.changed[each.name] for each in used if each.name in texts.changed]
    if not is_copy:
        _refuse_changed(used, texts, statement, path)
    changed = _change(value, kinds, changing)
    if changed is not None:
        for taken, places in texts.taken.items():
            if any(_meet(changed, place) for place in places):
                texts.changed.setdefault(taken, statement.loc.line)
    texts.changed.pop(name, None)
    if is_copy and lines:
        texts.changed[name] = lines[0]
    if _holds_live_text(kinds.get(name)):
        if isinstance(value, ir.Expr) and value.op == "getattr":
            texts.taken[name] = {(_owner(kinds[value.value.name]), value.attr)}
        else:
            texts.taken[name] = set().union(*(texts.taken.get(each.name, set()) for each in used)) or {ALL}


def _meet(changed: Place, place: Place) -> bool:
    return ALL in (changed, place) or (changed[0] == place[0] and changed[1] in ("", place[1]))


def _refuse_changed(used: Iterable[Any], texts: Texts, statement: Any, path: str) -> None:
    for each in used:
        if each.name in texts.changed:
            raise PluginError(
                f"this text of a record or output may have changed in line {texts.changed[each.name]}, after it was "
                "taken: use it before, or take it again",
                path,
                statement.loc.line,
            )
