"""The kernels of outputs over memory of the test's own, compiled and plain: random messages, space to the last byte."""

from __future__ import annotations

import random
from typing import Any

import pytest

from statevec.codecs.schema import Schema
from statevec.engine.plugin.output_kernels import append_entry, open_output, put_data
from statevec.engine.plugin.output_parts import OutputLevel, output_level
from statevec.ipc.faults import CapacityExhausted, Fault
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal.entry_layout import OUTPUT_LENGTH, OUTPUT_MESSAGE
from statevec.state import transaction_layout as layout
from tests.plugin.test_group_outputs import SCHEMA

FORMS = {"compiled": lambda kernel: kernel, "plain": plain}


class Written:
    """An output being written in memory of `size` bytes."""

    def __init__(self, schema: Schema, form: str, size: int) -> None:
        make = FORMS[form]
        self.append, self.put = make(append_entry), make(put_data)
        self.tx, self.outputs = Region.allocate(layout.TRANSACTION_SIZE), Region.allocate(size)
        self.outputs.view[:] = b"\xee" * size
        image = schema.image("Basket")
        self.outputs.view[OUTPUT_MESSAGE : OUTPUT_MESSAGE + len(image)] = image
        self.tx.store_i64(layout.OUTPUT_ADDRESS, self.outputs.address)
        self.tx.store_i64(layout.OUTPUT_SIZE, size)
        self.level = output_level(schema, "Basket")
        self.block = self.outputs.address + OUTPUT_MESSAGE + schema.header.size
        make(open_output)(self.tx.address, self.outputs.address, len(image), self.block)

    @property
    def message(self) -> bytes:
        """The message, after a look at what stands around it."""
        end, used = self.tx.load_i64(layout.OUTPUT_END), self.tx.load_i64(layout.OUTPUT_USED)
        assert used == self.outputs.load_i32(OUTPUT_LENGTH) == (end + 7) // 8 * 8
        assert not any(self.outputs.view[end:used])
        assert set(self.outputs.view[used:]) <= {0xEE}
        return bytes(self.outputs.view[OUTPUT_MESSAGE:end])

    def write(self, level: OutputLevel, block: int, values: dict[str, Any]) -> None:
        for name, part in level.parts.items():
            memory = part.memory.address
            if part.entry is None:
                source = Region.of(values[name] + b"!")
                self.put(self.tx.address, block, memory, source.address, len(values[name]))
            else:
                for each in values[name]:
                    self.write(part.entry, self.append(self.tx.address, block, memory), each)


def random_values(generator: random.Random) -> dict[str, Any]:
    def text(most: int) -> bytes:
        return generator.randbytes(generator.randrange(most)).replace(b"\x80", b"")

    def entries(most: int, **values: Any) -> list[dict[str, Any]]:
        return [dict(values) for _ in range(generator.randrange(most))]

    legs = entries(4, price={"mantissa": 0, "exponent": 0}, size=0)
    for leg in legs:
        leg |= {"fills": entries(4, quantity=0), "note": text(9), "more": text(30)}
    return {"account": 0, "legs": legs, "tags": entries(4, tag=0), "reason": text(40)}


@pytest.mark.parametrize("form", FORMS)
def test_random_messages_are_written_as_python_encodes_them(form: str) -> None:
    schema = Schema.parse(SCHEMA)
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    for _ in range(40):
        values = random_values(generator)
        written = Written(schema, form, 4096)
        written.write(written.level, written.block, values)
        assert written.message == schema.encode("Basket", values)


@pytest.mark.parametrize("form", FORMS)
def test_the_last_byte_of_the_space_is_used_and_none_behind_it(form: str) -> None:
    schema = Schema.parse(SCHEMA)
    values = random_values(random.Random(5)) | {"reason": b"x" * 21}
    needed = OUTPUT_MESSAGE + (len(schema.encode("Basket", values)) + 7) // 8 * 8
    written = Written(schema, form, needed)
    written.write(written.level, written.block, values)
    assert written.message == schema.encode("Basket", values)
    for size in range(needed - 8, len(schema.image("Basket")) + OUTPUT_MESSAGE, -8):
        written = Written(schema, form, size)
        with pytest.raises(CapacityExhausted):
            written.write(written.level, written.block, values)
        assert written.tx.load_i64(layout.SPACE_EXHAUSTED) == 1
        assert written.tx.load_i64(layout.OUTPUT_USED) <= size


@pytest.mark.parametrize("form", FORMS)
def test_a_refused_part_changes_no_byte(form: str) -> None:
    schema = Schema.parse(SCHEMA)
    written = Written(schema, form, 512)
    tags, reason = written.level.parts["tags"].memory.address, written.level.parts["reason"].memory.address
    legs = written.level.parts["legs"].memory.address
    for _ in range(3):
        written.append(written.tx.address, written.block, tags)
    before = bytes(written.outputs.view), bytes(written.tx.view)
    text = Region.of(bytes(70000))
    for part, arguments in ((tags, ()), (legs, ()), (reason, (text.address, 70000))):
        with pytest.raises(Fault):
            (written.put if arguments else written.append)(written.tx.address, written.block, part, *arguments)
        assert (bytes(written.outputs.view), bytes(written.tx.view)) == before
