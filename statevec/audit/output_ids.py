"""Which field of outputs is their id, and what to look for when a value of it is given.

The rule: values of unsigned 64-bit fields are ids (nobody computes with them), so the id of a plugin's outputs is the
one such field, by name, that all messages it emits have in common. Where there is none, or more than one, the caller
names a field.

Nothing here keeps state.
"""

from __future__ import annotations

from statevec.codecs.columns import leaves
from statevec.codecs.layout import FieldLayout, MessageLayout
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.memory import MASK64
from statevec.journal.admin_layout import TIMER_TEMPLATE
from statevec.journal.column_layout import INPUTS, OUTPUTS, OWN_INPUTS
from statevec.journal.search import Needle, Needles


class UnknownOutputError(LookupError):
    """No output is meant by what was asked for, or more than one; the text lists what there is."""


def _integers(message: MessageLayout) -> dict[str, tuple[FieldLayout, int]]:
    """Fields that may carry an id, with their offsets, by name."""
    found = leaves(message.fields, 0, "", 0)
    return {
        name: (field, offset)
        for name, (field, offset, _) in found.items()
        if field.kind == "integer" and field.presence != "constant"
    }


def _is_id(field: FieldLayout) -> bool:
    return field.primitive.size == 8 and not field.primitive.signed


def id_field(plugin: LoadedPlugin) -> str:
    """The name of the field that is the outputs' id. Raises `UnknownOutputError` with the candidates."""
    emitted = list(plugin.outputs.values())
    ids = [{name for name, (field, _) in _integers(message).items() if _is_id(field)} for message in emitted]
    common = set.intersection(*ids) if ids else set()
    if len(common) == 1:
        return common.pop()
    every = {name for message in emitted for name in _integers(message)}
    what = "several fields could be" if common else "no unsigned 64-bit field is"
    listed = ", ".join(sorted(common or every)) or "none"
    raise UnknownOutputError(
        f"{what} the id of all outputs of {plugin.name}@{plugin.version}: give --field; there are: {listed}"
    )


def check_field(plugin: LoadedPlugin, name: str) -> None:
    """Raise `UnknownOutputError` when no output has an integer field of that name."""
    every = sorted({each for message in plugin.outputs.values() for each in _integers(message)})
    if name not in every:
        raise UnknownOutputError(f"no output has an integer field {name!r}; there are: {', '.join(every) or 'none'}")


def _content(field: FieldLayout, value: int) -> bytes | None:
    """The bytes of the field when it holds the value, None when it cannot."""
    if not field.primitive.lowest <= value <= field.primitive.highest:
        return None
    return value.to_bytes(field.primitive.size, field.byte_order, signed=field.primitive.signed)


def needles_for(plugin: LoadedPlugin, name: str, value: int) -> Needles:
    """Outputs and inputs of a version whose field `name` holds the value, and timers of that number."""
    emitted = plugin.outputs
    found = []
    for message in plugin.schema.messages.values():
        if name not in _integers(message):
            continue
        field, offset = _integers(message)[name]
        content = _content(field, value)
        if content is not None:
            found.append(Needle(INPUTS, message.id, offset, content))
            if message.id in emitted:
                found.append(Needle(OUTPUTS, message.id, offset, content))
    found.append(Needle(OWN_INPUTS, TIMER_TEMPLATE, 0, (value & MASK64).to_bytes(8, "little")))
    return Needles(plugin.schema, found)
