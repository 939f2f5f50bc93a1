"""Sealing and checking entries, compiled and plain."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import entry as kernels
from statevec.journal import entry_layout as layout
from statevec.journal.entry import check_entry, seal_entry
from tests.journal.entry_maker import EntryMaker, region_of

FORMS = [pytest.param(lambda kernel: kernel, id="compiled"), pytest.param(plain, id="plain")]


def second_entry(**header: int) -> tuple[Region, EntryMaker]:
    """An entry that is not the first: no field of it is zero by chance."""
    maker = EntryMaker()
    maker.entry(b"first")
    return region_of(maker.entry(b"message of the second entry", b"\1" * 24, b"\2" * 40, **header)), maker


@pytest.mark.parametrize("form", FORMS)
def test_a_sealed_entry_is_valid_and_both_forms_seal_alike(form):
    region, maker = second_entry()
    again = region_of(bytes(region.view))
    again.store_i64(layout.HASH, 0)
    again.store_i64(layout.DIGEST, 0)
    first_digest = EntryMaker()
    first_digest.entry(b"first")
    assert form(seal_entry)(again, first_digest.digest) == maker.digest
    assert bytes(again.view) == bytes(region.view)
    assert form(check_entry)(region, maker.positions[1]) == kernels.VALID


@settings(deadline=None)
@given(st.data())
def test_no_byte_but_the_durable_position_changes_unnoticed(data):
    """Rule 9: a damaged entry is recognised, whichever bit of it flipped."""
    region, maker = second_entry()
    bit = data.draw(st.integers(0, 8 * region.size - 1), label="bit")
    region.view[bit // 8] ^= 1 << bit % 8
    expected = layout.DURABLE_POSITION <= bit // 8 < layout.DURABLE_POSITION + 8
    assert (check_entry(region, maker.positions[1]) == kernels.VALID) == expected


DETERMINED = ["kind", "timestamp_ns", "source", "source_sequence", "sent_ns", "logic_version", "outcome"]


@pytest.mark.parametrize("name", [*DETERMINED, "input_true_length"])
def test_digest_depends_on_what_execution_determines(name):
    assert second_entry()[1].digest != second_entry(**{name: 7})[1].digest


@pytest.mark.parametrize("name", ["source_position", "durable_position"])
def test_digest_does_not_depend_on_where_and_when_it_was_recorded(name):
    assert second_entry()[1].digest == second_entry(**{name: 4_096})[1].digest


def test_digest_depends_on_the_gap_flag_and_on_no_other():
    plain_digest = second_entry()[1].digest
    assert second_entry(flags=layout.FLAG_GAP)[1].digest != plain_digest
    assert second_entry(flags=2)[1].digest == plain_digest


def test_digest_does_not_depend_on_epoch_and_position():
    """A standby with another epoch before it, or other padding, agrees all the same."""
    plain_digest = second_entry()[1].digest
    moved = EntryMaker(position=640, epoch=9)
    moved.entry(b"first")
    moved.entry(b"message of the second entry", b"\1" * 24, b"\2" * 40)
    assert moved.digest == plain_digest


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (layout.LENGTH, 12, kernels.BAD_LENGTH),
        (layout.LENGTH, -8, kernels.BAD_LENGTH),
        (layout.LENGTH, 120, kernels.BAD_LENGTH),
        (layout.LENGTH, 1 << 30, kernels.BAD_LENGTH),
        (layout.KIND, 0, kernels.BAD_KIND),
        (layout.KIND, 11, kernels.BAD_KIND),
        (layout.KIND, -2, kernels.BAD_KIND),
        (layout.SBE_HEADER_AT, 0, kernels.BAD_SBE_HEADER),
        (layout.POSITION, 8, kernels.BAD_POSITION),
        (layout.SEQUENCE, -1, kernels.BAD_HASH),
        (layout.INPUT_LENGTH, -1, kernels.BAD_PARTS),
        (layout.INPUT_LENGTH, 1 << 30, kernels.BAD_PARTS),
        (layout.OUTPUTS_LENGTH, 4, kernels.BAD_PARTS),
        (layout.DELTA_LENGTH, -40, kernels.BAD_PARTS),
        (layout.INPUT, 0, kernels.BAD_HASH),
    ],
)
def test_each_wrong_field_has_its_code(form, offset, value, expected):
    region, maker = second_entry()
    region.store_i32(offset, value)
    assert form(check_entry)(region, maker.positions[1]) == expected
    assert expected in kernels.CHECK_NAMES


@pytest.mark.parametrize("form", FORMS)
def test_zeros_and_padding_are_told_from_entries(form):
    check = form(check_entry)
    assert check(Region.allocate(64), 0) == kernels.NOTHING_THERE
    padding = Region.allocate(64)
    padding.store_i32(layout.LENGTH, 64)
    padding.store_i32(layout.KIND, layout.PADDING)
    assert check(padding, 0) == kernels.VALID_PADDING
    padding.store_i32(layout.LENGTH, 72)
    assert check(padding, 0) == kernels.BAD_LENGTH
    assert check(padding.slice(0, 0), 0) == kernels.BAD_LENGTH
