"""Whether a version can read the messages in flight: those that producers encode for the version that decides now.

Producers know nothing of a cutover. A message that they send has to mean the same to both versions: schema, template,
and each field that the old version knows at the same place with the same type. New fields may follow behind (SBE's
extension: older messages lack them), messages may be added. On the way back to a version with an older schema, fields
that came after that schema (`sinceVersion`) are passed over, as any reader of the older schema does.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator

from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout
from statevec.engine.plugin.loader import LoadedPlugin


def unreadable_messages(old: LoadedPlugin, new: LoadedPlugin) -> list[str]:
    """A line for each reason why messages for `old` are not understood by `new`; empty when all are."""
    return list(_reasons(old, new))


def _reasons(old: LoadedPlugin, new: LoadedPlugin) -> Iterator[str]:
    if old.schema.id != new.schema.id:
        yield f"schema id was {old.schema.id} and is {new.schema.id}: every message would be refused"
        return
    if old.schema.header != new.schema.header:
        yield "the message header has another layout"
        return
    by_template = {each.id: each for each in new.schema.messages.values()}
    handled = {new.schema.messages[name].id for name in new.declarations.handlers}
    for name in old.declarations.handlers:
        before = old.schema.messages[name]
        after = by_template.get(before.id)
        if after is None or before.id not in handled:
            yield f"message {name} (template {before.id}) is handled by {old.version}, not by {new.version}"
        else:
            yield from _level(f"message {name}", before, after, new.schema.version)


def _level(
    where: str, before: MessageLayout | GroupLayout, after: MessageLayout | GroupLayout, version: int
) -> Iterator[str]:
    """`version` is that of the new version's schema."""
    found = {each.name: each for each in after.fields}
    for each in before.fields:
        if each.name not in found and each.since > version and each.offset >= after.block_length:
            continue
        if each.presence != "constant" and not _same(each, found.get(each.name)):
            yield f"{where}: field {each.name} is not where and what it was"
    for each in after.fields:
        known = any(each.name == old.name for old in before.fields)
        if not known and each.presence != "constant" and each.offset < before.block_length:
            yield f"{where}: new field {each.name} lies inside the {before.block_length} bytes that are sent now"
    if [each.name for each in before.data] != [each.name for each in after.data[: len(before.data)]]:
        yield f"{where}: variable data differs"
    groups = {each.name: each for each in after.groups}
    if [each.name for each in before.groups] != [each.name for each in after.groups]:
        yield f"{where}: groups differ"
        return
    for group in before.groups:
        yield from _level(f"{where}, group {group.name}", group, groups[group.name], version)


def _same(before: FieldLayout, after: FieldLayout | None) -> bool:
    if after is None:
        return False
    places = [(each.offset, each.primitive, each.length, each.byte_order, each.composite) for each in (before, after)]
    return places[0] == places[1]
