"""The project's own SBE schema says what the layout modules say."""

from __future__ import annotations

import struct
from importlib.resources import files

import pytest

from statevec.codecs.schema import Schema
from statevec.journal import admin_layout, entry_layout
from statevec.journal.entry_view import Entry
from tests.journal.entry_maker import EntryMaker

SCHEMA = Schema.load(files("statevec.journal") / "statevec.xml")


def test_message_entry_is_the_entrys_header():
    message = SCHEMA.messages["Entry"]
    assert (SCHEMA.id, SCHEMA.version) == (entry_layout.SCHEMA_ID, entry_layout.SCHEMA_VERSION)
    assert (message.id, message.block_length) == (
        entry_layout.ENTRY_TEMPLATE_ID,
        entry_layout.ENTRY_BLOCK_LENGTH,
    )
    block = entry_layout.SBE_HEADER_AT + 8
    for field in message.fields:
        assert block + field.offset == getattr(entry_layout, field.name.upper()), field.name
    header = struct.pack("<q", entry_layout.SBE_HEADER)
    assert struct.unpack("<4H", header) == (message.block_length, message.id, SCHEMA.id, SCHEMA.version)


def test_any_sbe_tool_reads_an_entrys_header():
    content = EntryMaker().entry(b"message", source=3, outcome=-9)
    entry = Entry(content)
    decoded = SCHEMA.decode(content, entry_layout.SBE_HEADER_AT).to_dict()
    for name in ("position", "sequence", "epoch", "timestamp_ns", "source", "outcome", "hash", "digest"):
        assert decoded[name] == getattr(entry, name), name


@pytest.mark.parametrize(
    ("name", "template", "size"),
    [
        ("Cutover", admin_layout.CUTOVER_TEMPLATE, admin_layout.CUTOVER_FORMAT.size),
        ("Admin", admin_layout.ADMIN_TEMPLATE, admin_layout.ADMIN_FORMAT.size),
        ("Leadership", admin_layout.LEADERSHIP_TEMPLATE, admin_layout.LEADERSHIP_FORMAT.size),
        ("RingAttach", admin_layout.RING_ATTACH_TEMPLATE, admin_layout.RING_ATTACH_FORMAT.size),
        ("RingQuarantine", admin_layout.RING_QUARANTINE_TEMPLATE, admin_layout.RING_QUARANTINE_FORMAT.size),
        ("TimerFired", admin_layout.TIMER_TEMPLATE, admin_layout.TIMER_FORMAT.size),
    ],
)
def test_admin_messages_are_those_of_admin_layout(name, template, size):
    message = SCHEMA.messages[name]
    assert (message.id, message.block_length) == (template, size)


def test_a_leadership_input_decodes_to_what_went_in():
    content = admin_layout.leadership(
        epoch=3,
        instance_id=99,
        wall_clock_ns=17,
        limits=(1 << 20, 1 << 18, 1 << 14, 500),
        logic_version=2,
        durability=1,
        engine_version="0.1.0",
        plugin_name="hedge",
        plugin_version="1.0.0",
        content_hash="ab" * 32,
    )
    decoded = SCHEMA.decode(content).to_dict()
    assert decoded["epoch"] == 3
    assert (decoded["unit"], decoded["max_entry"], decoded["max_input"], decoded["loop_budget"]) == (
        1 << 20,
        1 << 18,
        1 << 14,
        500,
    )
    assert decoded["loop_budget"] == 500
    assert (decoded["plugin_name"], decoded["content_hash"]) == ("hedge", "ab" * 32)


def test_ring_and_timer_inputs_decode_to_what_went_in():
    decoded = SCHEMA.decode(admin_layout.ring_attach(77, 2, "ticks")).to_dict()
    assert (decoded["ring_instance"], decoded["source"], decoded["name"]) == (77, 2, "ticks")
    timer = struct.pack("<qqq", admin_layout.TIMER_SBE_HEADER, 5, 6)
    assert SCHEMA.decode(timer).to_dict() == {"timer_id": 5, "deadline_ns": 6}
