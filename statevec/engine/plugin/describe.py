"""What a plugin is, as plain values for people, and what differs between two: `plugin show` and `plugin diff`.

Nothing here keeps state.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout
from statevec.engine.plugin.loader import LoadedPlugin

Section = dict[str, dict[str, str]]
"""Of each thing its name and its parts, each part a line of text by its own name."""


def _field(each: FieldLayout) -> str:
    kind = each.enum.name if each.enum is not None else each.primitive.name
    kind = each.composite.name if each.composite is not None else kind
    kind += f"[{each.length}]" if each.length != 1 else ""
    return kind if each.presence == "required" else f"{kind} {each.presence}"


def _message(layout: MessageLayout | GroupLayout, prefix: str = "") -> dict[str, str]:
    parts = {f"{prefix}{each.name}": _field(each) for each in layout.fields}
    for group in layout.groups:
        parts[f"{prefix}{group.name}"] = "group"
        parts |= _message(group, f"{prefix}{group.name}.")
    return parts | {f"{prefix}{each.name}": "data" for each in layout.data}


def _records(plugin: LoadedPlugin) -> Section:
    found: Section = {}
    for record in plugin.declarations.records.values():
        parts = {"capacity": f"{record.capacity:_}"}
        for each in record.fields:
            index = record.indexes.get(each.name)
            parts[each.name] = _field(each) + (f" ({index})" if index else "")
        found[f"{record.table} ({record.name})"] = parts
    return found


def describe(plugin: LoadedPlugin) -> dict[str, Section]:
    """Everything a plugin declares: sections of things of parts."""
    declared = plugin.declarations
    messages = plugin.schema.messages
    handlers = {
        f"{name} (template {messages[name].id}) -> {function.__name__}": _message(messages[name])
        for name, function in declared.handlers.items()
    }
    if declared.timer_handler is not None:
        handlers[f"timers -> {declared.timer_handler.__name__}"] = {}
    return {
        "records": _records(plugin),
        "messages handled": handlers,
        "outputs": {
            f"{each.name} (template {number})": _message(each) for number, each in sorted(plugin.outputs.items())
        },
        "rejections": {str(code): {"text": text} for code, text in sorted(plugin.rejections.items())},
        "invariants": {
            each.name: {"of": f"{'table of ' if each.whole_table else ''}{each.record}"} for each in declared.invariants
        },
        "migrations": {each.function.__name__: {each.record: f"since {each.since}"} for each in declared.migrations},
    }


def describe_changes(old: LoadedPlugin, new: LoadedPlugin) -> dict[str, list[str]]:
    """By section, a line for each thing or part that was added (+), removed (-) or changed (~)."""
    before, after = describe(old), describe(new)
    found = {section: list(_changes(before[section], after[section])) for section in after}
    return {section: lines for section, lines in found.items() if lines}


def _changes(before: Section, after: Section) -> Iterator[str]:
    yield from (f"- {name}" for name in before if name not in after)
    for name, parts in after.items():
        if name not in before:
            yield f"+ {name}"
            continue
        was = before[name]
        yield from (f"- {name}: {part}" for part in was if part not in parts)
        for part, text in parts.items():
            if part not in was:
                yield f"+ {name}: {part} {text}"
            elif was[part] != text:
                yield f"~ {name}: {part} {was[part]} -> {text}"


def source_difference(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[str]:
    """The files' unified difference, line by line; of files that are no text only that they differ."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, b""), new.get(name, b"")
        if before == after:
            continue
        try:
            was, now = before.decode().splitlines(), after.decode().splitlines()
        except UnicodeDecodeError:
            yield f"{name} differs (no text)"
            continue
        yield from difflib.unified_diff(was, now, f"a/{name}", f"b/{name}", lineterm="")
