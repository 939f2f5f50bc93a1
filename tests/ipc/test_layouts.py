"""Every offset of every shared layout, as another process or language has it."""

from __future__ import annotations

import struct

from statevec.ipc import counters_layout, log_layout, ring_layout, segment_layout
from statevec.ipc.process_identity import ProcessIdentity
from statevec.ipc.segment import SegmentHeader


def test_the_segment_page_has_its_fields_at_their_offsets() -> None:
    creator = ProcessIdentity(7, 8, bytes(range(16)), 9)
    packed = SegmentHeader(1, 2, 3, 4, 5, 6, 10, creator, 11).pack()
    at = {
        segment_layout.MAGIC_AT: (0, "<q", 1),
        segment_layout.LAYOUT_VERSION_AT: (8, "<i", 2),
        segment_layout.KIND_AT: (12, "<i", 3),
        segment_layout.SIZE_AT: (16, "<q", 4),
        segment_layout.CAPACITY_AT: (24, "<q", 5),
        segment_layout.INSTANCE_ID_AT: (32, "<q", 6),
        segment_layout.OWN_ID_AT: (40, "<q", 10),
        segment_layout.CREATOR_PID_AT: (48, "<q", 7),
        segment_layout.CREATOR_STARTED_AT: (56, "<q", 8),
        segment_layout.PID_NAMESPACE_AT: (80, "<q", 9),
        segment_layout.CREATED_NS_AT: (88, "<q", 11),
    }
    for offset, (expected, form, value) in at.items():
        assert offset == expected
        assert struct.unpack_from(form, packed, offset) == (value,)
    assert packed[segment_layout.BOOT_ID_AT : segment_layout.BOOT_ID_AT + 16] == bytes(range(16))
    assert len(packed) == segment_layout.HEADER_SIZE == 96
    assert SegmentHeader.unpack(packed) == SegmentHeader(1, 2, 3, 4, 5, 6, 10, creator, 11)
    assert segment_layout.MAGIC.to_bytes(8, "little") == b"STATEVEC"
    assert (segment_layout.LOG, segment_layout.RING, segment_layout.COUNTERS) == (1, 2, 3)
    assert (segment_layout.PAGE_SIZE, segment_layout.KIND_PAGE, segment_layout.LAYOUT_VERSION) == (4096, 1024, 1)


def test_the_ring_is_agronas() -> None:
    assert (ring_layout.TAIL, ring_layout.HEAD_CACHE, ring_layout.HEAD) == (128, 256, 384)
    assert (ring_layout.CORRELATION_ID, ring_layout.CONSUMER_HEARTBEAT, ring_layout.TRAILER_SIZE) == (512, 640, 768)
    assert (ring_layout.RECORD_LENGTH, ring_layout.RECORD_TYPE, ring_layout.RECORD_HEADER_SIZE) == (0, 4, 8)
    assert (ring_layout.RECORD_ALIGNMENT, ring_layout.MESSAGE_TYPE, ring_layout.PADDING_TYPE) == (8, 1, -1)
    assert (ring_layout.DATA, ring_layout.MAX_BODY_SHIFT) == (4096, 3)
    assert (ring_layout.PRODUCER_SEQUENCE, ring_layout.SENT_NS, ring_layout.INGRESS_HEADER_SIZE) == (0, 8, 16)
    assert (ring_layout.APPENDED_SEQUENCE, ring_layout.RELEASED_SEQUENCE) == (1024, 1152)
    assert ring_layout.segment_size(1 << 16) == 4096 + 65536 + 768


def test_the_log_has_a_line_for_each_writer() -> None:
    page = {
        "APPENDED": 0, "RELEASED_BY_LEADER": 8, "LAST_SEQUENCE": 16, "DURABLE": 128, "WRITTEN": 136,
        "RELEASED_BY_JOURNALER": 144, "HEARTBEAT_NS": 256, "RUNNING_SOURCE": 384, "RUNNING_SEQUENCE": 392,
        "RUNNING_ATTEMPTS": 400, "EPOCH": 512, "HALTED": 520, "RELEASED_AT": 640, "FIRST_POSITION": 648,
    }  # fmt: skip
    assert {name: getattr(log_layout, name) - 4096 for name in page} == page
    assert (log_layout.CONTROL, log_layout.DATA) == (4096, 8192)


def test_counters_and_histograms_follow_their_names() -> None:
    assert (counters_layout.COUNTER_COUNT, counters_layout.HISTOGRAM_COUNT, counters_layout.NAMES) == (4096, 4104, 4160)
    assert (counters_layout.NAME_SIZE, counters_layout.COUNTER_SIZE) == (64, 64)
    assert counters_layout.counter_offset(2, 3, 1) == 4160 + 4 * 64 + 2 * 64
    assert counters_layout.histogram_offset(0, 3, 1) == 4160 + 4 * 64 + 3 * 64
    assert (counters_layout.SUM, counters_layout.HIGHEST, counters_layout.BUCKETS) == (0, 8, 128)
    assert (counters_layout.BUCKET_COUNT, counters_layout.HISTOGRAM_SIZE) == (1120, 9088)
