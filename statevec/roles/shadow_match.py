"""Matching what two versions gave, natively, by the plan that `shadow_plan` made of their layouts and of the rules.

Compared are the outcome; the outputs one after the other, by template, expiry and fields; the changed records one after
the other, by table, operation and fields. Row, version and last sequence of a record are where a version keeps its
books, not what it decided.

Invariants
    What matches here, Python would find equal too, or explained by the same rules: the plan only holds what can be told
    from single fields. Whatever is not in the plan, or in another order, does not match.
    Lengths come from entries that this process has made itself.

Layout: `shadow_layout`. Private memory; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine.execute import align8
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at
from statevec.journal import entry_layout as entries
from statevec.roles import shadow_layout as layout
from statevec.roles.shadow_ids import SHIFT, meaning

NO_MATCH = -1


@kernel
def _same_item(plan: Region, item: int, decided: Region, one: int, candidate: Region, other: int) -> bool:
    """Whether an item of two parts, whose bytes begin at `one` and `other`, means the same."""
    left = one + plan.load_i64(item + layout.ITEM_DECIDED)
    right = other + plan.load_i64(item + layout.ITEM_CANDIDATE)
    kind = plan.load_i64(item + layout.ITEM_KIND)
    if kind == layout.BYTES:
        return decided.equal(left, candidate, right, plan.load_i64(item + layout.ITEM_LENGTH))
    value = decided.load_i64(left)
    other_value = candidate.load_i64(right)
    ids = region_at(plan.load_i64(layout.PLAN_IDS), plan.load_i64(layout.PLAN_IDS_SIZE))
    if kind == layout.COUNTER:
        return value == other_value - ids.load_i64(SHIFT)
    return value == other_value or value == meaning(ids, other_value)


@kernel
def _match_part(plan: Region, part: int, decided: Region, one: int, candidate: Region, other: int) -> int:
    """Bits of the rules that explain where two outputs or images differ, 0 when they are the same, NO_MATCH."""
    bits = 0
    item = part + layout.PART_LIST
    for _ in range(plan.load_i64(part + layout.PART_ITEMS)):
        alone = plan.load_i64(item + layout.ITEM_KIND) == layout.ALONE
        if alone or not _same_item(plan, item, decided, one, candidate, other):
            rule = plan.load_i64(item + layout.ITEM_RULE)
            if rule < 0:
                return NO_MATCH
            bits |= 1 << rule
        item += layout.ITEM_SIZE
    return bits


@kernel
def _part_of_message(plan: Region, template_id: int) -> int:
    place = layout.PLAN_MESSAGE_LIST
    for _ in range(plan.load_i64(layout.PLAN_MESSAGES)):
        if plan.load_i64(place) == template_id:
            return plan.load_i64(place + 8)
        place += layout.PLAN_MESSAGE_SIZE
    return 0


@kernel
def _match_outputs(plan: Region, decided: Region, candidate: Region, start: int) -> int:
    """As `_match_part`, for all outputs of two entries, which begin at `start` in both."""
    bits = 0
    one = start
    other = start
    end = start + decided.load_i32(entries.OUTPUTS_LENGTH)
    other_end = start + candidate.load_i32(entries.OUTPUTS_LENGTH)
    template_at = entries.OUTPUT_MESSAGE + plan.load_i64(layout.PLAN_TEMPLATE_ID)
    while one < end and other < other_end:
        template_id = decided.load_u16(one + template_at)
        part = _part_of_message(plan, template_id)
        if (
            part == 0
            or candidate.load_u16(other + template_at) != template_id
            or decided.load_i64(one + entries.OUTPUT_EXPIRES_NS)
            != candidate.load_i64(other + entries.OUTPUT_EXPIRES_NS)
        ):
            return NO_MATCH
        found = _match_part(plan, part, decided, one, candidate, other)
        if found < 0:
            return NO_MATCH
        bits |= found
        one += decided.load_i32(one + entries.OUTPUT_LENGTH)
        other += candidate.load_i32(other + entries.OUTPUT_LENGTH)
    return bits if one == end and other == other_end else NO_MATCH


@kernel
def _match_records(plan: Region, decided: Region, one: int, candidate: Region, other: int) -> int:
    """As `_match_part`, for the deltas of two entries, which begin at `one` and `other` and end with their entries."""
    bits = 0
    end = decided.load_i32(entries.LENGTH)
    other_end = candidate.load_i32(entries.LENGTH)
    while one < end and other < other_end:
        part = plan.load_i64(layout.PLAN_TABLES + 8 * decided.load_i32(one + entries.DELTA_TABLE))
        if (
            part == 0
            or plan.load_i64(part + layout.PART_TABLE) != candidate.load_i32(other + entries.DELTA_TABLE)
            or decided.load_i32(one + entries.DELTA_OPERATION) != candidate.load_i32(other + entries.DELTA_OPERATION)
        ):
            return NO_MATCH
        found = _match_part(plan, part, decided, one + entries.DELTA_IMAGE, candidate, other + entries.DELTA_IMAGE)
        if found < 0:
            return NO_MATCH
        bits |= found
        one += decided.load_i32(one + entries.DELTA_RECORD_LENGTH)
        other += candidate.load_i32(other + entries.DELTA_RECORD_LENGTH)
    return bits if one == end and other == other_end else NO_MATCH


@kernel
def match_entry(plan: Region, decided: Region, candidate: Region) -> int:
    """0 when two finished entries of one input say the same; bits of the rules that explain all else; NO_MATCH."""
    if decided.load_i32(entries.OUTCOME) != candidate.load_i32(entries.OUTCOME):
        return NO_MATCH
    start = entries.INPUT + align8(decided.load_i32(entries.INPUT_LENGTH))
    outputs = _match_outputs(plan, decided, candidate, start)
    if outputs < 0:
        return NO_MATCH
    one = start + decided.load_i32(entries.OUTPUTS_LENGTH)
    other = start + candidate.load_i32(entries.OUTPUTS_LENGTH)
    records = _match_records(plan, decided, one, candidate, other)
    return NO_MATCH if records < 0 else outputs | records


@kernel
def count_rules(plan: Region, bits: int) -> bool:
    """Count an entry that rules explain; False, and nothing counted, when one of them has no example yet."""
    rules = plan.load_i64(layout.PLAN_RULES)
    for number in range(layout.MAX_RULES):
        shown = plan.load_i64(rules + number * layout.RULE_SIZE + layout.RULE_SHOWN) if (bits >> number) & 1 else 1
        if shown == 0:
            return False
    for number in range(layout.MAX_RULES):
        if (bits >> number) & 1:
            place = rules + number * layout.RULE_SIZE + layout.RULE_ENTRIES
            plan.store_i64(place, plan.load_i64(place) + 1)
    plan.store_i64(layout.PLAN_EXPLAINED, plan.load_i64(layout.PLAN_EXPLAINED) + 1)
    return True
