"""Record layouts and table specifications: places, hashes, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pytest

from statevec.state.records import IndexSpec, RecordLayout, SpecificationError, TableSpec


def test_fields_are_naturally_aligned_in_declared_order() -> None:
    record = RecordLayout.of("record", a="i8", b="i64", c="u16", d="char[3]", e="f32", f="bool")
    assert [(field.name, field.offset, field.size) for field in record.fields] == [
        ("a", 0, 1),
        ("b", 8, 8),
        ("c", 16, 2),
        ("d", 18, 3),
        ("e", 24, 4),
        ("f", 28, 1),
    ]
    assert record.size == 32
    assert record.offset("e") == 24


def test_the_numpy_type_reads_the_same_bytes() -> None:
    record = RecordLayout.of("record", a="i8", b="i64", c="u16", d="char[3]", e="f64", f="bool")
    assert record.dtype.itemsize == record.size
    image = bytearray(record.size)
    image[record.offset("b") : record.offset("b") + 8] = (-5).to_bytes(8, "little", signed=True)
    image[record.offset("d") : record.offset("d") + 3] = b"xy\0"
    values = np.frombuffer(image, record.dtype)[0]
    assert (values["b"], values["d"]) == (-5, b"xy")


def test_the_hash_tells_layouts_apart() -> None:
    base = RecordLayout.of("record", a="i32", b="i32")
    assert base.hash == RecordLayout.of("record", a="i32", b="i32").hash
    others = [
        RecordLayout.of("another", a="i32", b="i32"),
        RecordLayout.of("record", b="i32", a="i32"),
        RecordLayout.of("record", a="i32", b="u32"),
        RecordLayout.of("record", a="i32", b="i32", c="i32"),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 5


def test_a_record_is_refused_with_its_reason() -> None:
    with pytest.raises(SpecificationError, match="unknown field kind: kind='int'"):
        RecordLayout.of("record", a="int")
    with pytest.raises(SpecificationError, match="record without fields"):
        RecordLayout.of("record")
    with pytest.raises(SpecificationError, match="two fields of one name"):
        RecordLayout.build("record", [("a", "i8"), ("a", "i16")])
    with pytest.raises(SpecificationError, match=r"record too large: .* size=70000 max=65536"):
        RecordLayout.of("record", a="char[70000]")
    with pytest.raises(SpecificationError, match="no such field: record='record' field='b' known=a"):
        RecordLayout.of("record", a="i8").field("b")


@pytest.mark.parametrize(
    ("indexes", "capacity", "message"),
    [
        ([IndexSpec("key", "a")], 0, "capacity must be at least 1"),
        ([IndexSpec("group", "a")], 1, "one key"),
        ([IndexSpec("group", "b"), IndexSpec("key", "a")], 1, "one key"),
        ([IndexSpec("key", "a"), IndexSpec("key", "b")], 1, "one key"),
        ([IndexSpec("key", "a"), IndexSpec("group", "b"), IndexSpec("group", "b")], 1, "same index twice"),
        ([IndexSpec("key", "a"), IndexSpec("sorted", "b")], 1, "unknown kind of index"),
        ([IndexSpec("key", "a"), IndexSpec("group", "f")], 1, "only integer and bool fields"),
        ([IndexSpec("key", "a"), IndexSpec("group", "name")], 1, "only integer and bool fields"),
        ([IndexSpec("key", "a"), IndexSpec("ordered", "u")], 1, "u64 values are opaque"),
        ([IndexSpec("key", "a"), IndexSpec("group", "a")], 1, "the key needs no second index"),
        ([IndexSpec("key", "z")], 1, "no such field"),
    ],
)
def test_a_table_is_refused_with_its_reason(indexes: list[IndexSpec], capacity: int, message: str) -> None:
    record = RecordLayout.of("record", a="i64", b="i64", u="u64", f="f64", name="char[4]")
    with pytest.raises(SpecificationError, match=message):
        TableSpec("table", record, capacity, indexes)


def test_an_index_number_is_its_place() -> None:
    record = RecordLayout.of("record", a="i64", b="i64")
    table = TableSpec("table", record, 1, [IndexSpec("key", "a"), IndexSpec("group", "b"), IndexSpec("ordered", "b")])
    assert table.index_number("key", "a") == 0
    assert table.index_number("ordered", "b") == 2
    with pytest.raises(SpecificationError, match="no such index"):
        table.index_number("unique", "b")
