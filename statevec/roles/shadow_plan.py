"""The plan by which kernels match what two versions gave: made of their messages, tables and rules.

Fields are found by name, so that a version whose records or messages have grown is compared at native speed. A field
that a rule explains whatever stands in it is marked with the rule. What takes more than the field to judge (a
condition, a tolerance, a field of another type) is left to Python: a part that is not in the plan matches nothing.

Invariant: the first rule in the file that may cover a field is the one that the plan names, or the plan names none.

Private memory; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from statevec.codecs.layout import FieldLayout, HeaderLayout, MessageLayout
from statevec.engine.plugin.decoding import enums_of, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.memory import Region
from statevec.journal.entry_layout import OUTPUT_MESSAGE
from statevec.roles import shadow_layout as layout
from statevec.roles.shadow_compare import IDS_TABLE
from statevec.roles.shadow_ids import IdPairs
from statevec.roles.shadow_rules import Rule
from statevec.state.records import RecordField, RecordLayout

NO_RULE = -1
EnumValues = dict[tuple[str, str], dict[str, int]]
"""Values by name of the enums of records' fields, by (table, field)."""


@dataclass(frozen=True)
class Item:
    """Bytes of both versions that are compared; see `shadow_layout`."""

    decided: int
    candidate: int
    size: int
    kind: int = layout.BYTES
    rule: int = NO_RULE


@dataclass(frozen=True)
class Part:
    """A message, or the record of a table."""

    items: list[Item]
    table: int = 0


class Plan:
    """The plan's memory, `region`, and what of it changes while a shadow runs.

    `ids` are the pairs of ids where the versions have counters of their own (independent mode).
    """

    def __init__(
        self, decider: LoadedPlugin, candidate: LoadedPlugin, rules: Sequence[Rule], ids: IdPairs | None
    ) -> None:
        self._rules = list(rules)
        self._ids = ids
        messages = self._messages(decider, candidate)
        tables = self._tables(decider, candidate)
        self._rules_at = layout.PLAN_MESSAGE_LIST + layout.PLAN_MESSAGE_SIZE * len(messages)
        place = self._rules_at + layout.RULE_SIZE * layout.MAX_RULES
        parts = [*messages.values(), *tables.values()]
        self.region = Region.allocate(place + sum(_size_of(part) for part in parts))
        self.region.store_i64(layout.PLAN_MESSAGES, len(messages))
        self.region.store_i64(layout.PLAN_RULES, self._rules_at)
        if ids is not None:
            self.region.store_i64(layout.PLAN_IDS, ids.region.address)
            self.region.store_i64(layout.PLAN_IDS_SIZE, ids.region.size)
        template = _template_place(decider.schema.header)
        self.region.store_i64(layout.PLAN_TEMPLATE_ID, template or 0)
        for number, (template_id, part) in enumerate(messages.items()):
            at = layout.PLAN_MESSAGE_LIST + layout.PLAN_MESSAGE_SIZE * number
            self.region.store_i64(at, template_id)
            self.region.store_i64(at + 8, place)
            place = self._write(part, place)
        for number, part in tables.items():
            self.region.store_i64(layout.PLAN_TABLES + 8 * number, place)
            place = self._write(part, place)

    def _write(self, part: Part, place: int) -> int:
        self.region.store_i64(place + layout.PART_ITEMS, len(part.items))
        self.region.store_i64(place + layout.PART_TABLE, part.table)
        at = place + layout.PART_LIST
        for item in part.items:
            for offset, value in (
                (layout.ITEM_DECIDED, item.decided),
                (layout.ITEM_CANDIDATE, item.candidate),
                (layout.ITEM_LENGTH, item.size),
                (layout.ITEM_KIND, item.kind),
                (layout.ITEM_RULE, item.rule),
            ):
                self.region.store_i64(at + offset, value)
            at += layout.ITEM_SIZE
        return at

    def _messages(self, decider: LoadedPlugin, candidate: LoadedPlugin) -> dict[int, Part]:
        """Parts by template id."""
        header = _template_place(decider.schema.header)
        if header is None or decider.schema.header != candidate.schema.header:
            return {}
        theirs = {each.id: each for each in candidate.schema.messages.values()}
        found = {}
        for number, ours in decider.outputs.items():
            other = theirs.get(number)
            part = self._message(ours, other, decider.schema.header.size) if other is not None else None
            if part is not None:
                found[number] = part
        return found

    def _message(self, ours: MessageLayout, theirs: MessageLayout, header_size: int) -> Part | None:
        if ours.name != theirs.name or not (ours.is_flat and theirs.is_flat):
            return None  # groups and data have no fixed place: Python compares them
        base = OUTPUT_MESSAGE + header_size
        left = {each.name: each for each in ours.fields}
        right = {each.name: each for each in theirs.fields}
        items: list[Item] = []
        for name in dict.fromkeys([*left, *right]):
            one, other = left.get(name), right.get(name)
            if one is None or other is None:
                side = "candidate" if one is None else "decided"
                rule = self._rule("output", ours.name, name, side)
                if rule == NO_RULE:
                    return None
                items.append(Item(0, 0, 0, layout.ALONE, rule))
            elif _meaning(one) != _meaning(other):
                return None
            elif one.size:
                rule = self._rule("output", ours.name, name, "both")
                kind = layout.ID if self._may_be_id(one) else layout.BYTES
                items.append(Item(base + one.offset, base + other.offset, one.size, kind, rule))
        return Part(_joined(items))

    def _may_be_id(self, field: FieldLayout) -> bool:
        is_word = field.kind == "integer" and field.primitive.size == 8 and field.byte_order == "little"
        return self._ids is not None and is_word

    def _tables(self, decider: LoadedPlugin, candidate: LoadedPlugin) -> dict[int, Part]:
        """Parts by the decider's number of the table."""
        theirs = {spec.name: (number, spec) for number, spec in tables_of(candidate).items()}
        enums = (_enum_values(decider), _enum_values(candidate))
        found = {}
        for number, spec in tables_of(decider).items():
            other_number, other = theirs.get(spec.name, (0, None))
            items = None if other is None else self._record(spec.name, (spec.record, other.record), enums)
            if items is not None:
                found[number] = Part(_joined(items), other_number)
        return found

    def _record(
        self, table: str, records: tuple[RecordLayout, RecordLayout], enums: tuple[EnumValues, EnumValues]
    ) -> list[Item] | None:
        """The fields of a table's record; None when they can't all be told by themselves."""
        left, right = ({each.name: each for each in record.fields} for record in records)
        items = []
        for name in dict.fromkeys([*left, *right]):
            one, other = left.get(name), right.get(name)
            if one is None or other is None:
                rule = self._rule("record", table, name, "candidate" if one is None else "decided")
                if rule == NO_RULE:
                    return None
                items.append(Item(0, 0, 0, layout.ALONE, rule))
            elif one.kind != other.kind or enums[0].get((table, name)) != enums[1].get((table, name)):
                return None
            else:
                kind = self._kind(table, one)
                items.append(Item(one.offset, other.offset, one.size, kind, self._rule("record", table, name, "both")))
        return items

    def _kind(self, table: str, field: RecordField) -> int:
        if self._ids is None or field.size != 8 or field.kind not in ("i64", "u64"):
            return layout.BYTES
        return layout.COUNTER if (table, field.name) == (IDS_TABLE, "last_counter") else layout.ID

    def _rule(self, part: str, name: str, field: str, side: str) -> int:
        """Number of the rule that covers a difference in that field whatever stands there; NO_RULE."""
        for number, rule in enumerate(self._rules):
            if (rule.output if part == "output" else rule.table) != name or rule.field not in (None, field):
                continue
            if rule.side not in ("any", side):
                continue
            judged = rule.has_tolerance or rule.input is not None or bool(rule.when)
            return NO_RULE if judged or number >= layout.MAX_RULES else number
        return NO_RULE

    def take_explained(self) -> tuple[int, dict[str, int]]:
        """Entries that the plan's rules explained since the last call, in all and by rule."""
        entries = self.region.load_i64(layout.PLAN_EXPLAINED)
        if entries == 0:
            return 0, {}
        self.region.store_i64(layout.PLAN_EXPLAINED, 0)
        by_rule = {}
        for number, rule in enumerate(self._rules[: layout.MAX_RULES]):
            at = self._rules_at + layout.RULE_SIZE * number + layout.RULE_ENTRIES
            by_rule[rule.name] = self.region.load_i64(at)
            self.region.store_i64(at, 0)
        return entries, by_rule

    def show(self, names: Collection[str]) -> None:
        """Examples of these rules are known: from now on the kernels may count for them."""
        for number, rule in enumerate(self._rules[: layout.MAX_RULES]):
            if rule.name in names:
                self.region.store_i64(self._rules_at + layout.RULE_SIZE * number + layout.RULE_SHOWN, 1)


def _template_place(header: HeaderLayout) -> int | None:
    """Where a message has its template id, if kernels can read it there: two bytes, little-endian."""
    member = header.member("templateId")
    if member is None or member.size != 2 or member.byte_order != "little":
        return None
    return member.offset


def _meaning(field: FieldLayout) -> FieldLayout:
    """A field without its place and what documents it: equal when equal bytes mean the same."""
    return replace(field, offset=0, id=-1, since_version=0, deprecated=0, semantic_type="", type_name="")


def _enum_values(plugin: LoadedPlugin) -> EnumValues:
    return {place: {each.name: each.value for each in enum} for place, enum in enums_of(plugin).items()}


def _joined(items: list[Item]) -> list[Item]:
    """Neighbours in both versions, compared as bytes under the same rule, become one item."""
    joined: list[Item] = []
    for item in sorted(items, key=lambda each: each.decided):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.kind, last.rule) == (item.kind, item.rule) == (layout.BYTES, item.rule)
            and (last.decided + last.size, last.candidate + last.size) == (item.decided, item.candidate)
        ):
            joined[-1] = replace(last, size=last.size + item.size)
        else:
            joined.append(item)
    return joined


def _size_of(part: Part) -> int:
    return layout.PART_LIST + layout.ITEM_SIZE * len(part.items)
