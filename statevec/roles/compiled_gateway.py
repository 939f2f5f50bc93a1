"""`CompiledGateway`: a gateway whose outputs a compiled loop takes, without Python in its way.

    @kernel                                                with CompiledGateway("instance", "venue") as gateway:
    def hand_out(block, venue):                                while True:
        while (length := next_output(block, now())) >= 0:          code = hand_out(gateway.block, venue)
            …                                                      gateway.acknowledge_taken()
        return length                                              if code == ASK: gateway.ask()

Invariants
    As for `Gateway`: in order, released, with identities that never come again; a cursor that is durable.
    Entries that the log does not hold any more come from the segment files, through Python, one output each `ask`.
    `next_output` hands out; nothing is acknowledged before `acknowledge_taken`, which acknowledges all that it gave.

The block belongs to the gateway's process (`gateway_kernels`). A crash leaves the cursor of the last acknowledgement.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from statevec.engine.instance import InstanceError
from statevec.ipc.memory import Region
from statevec.journal import entry_layout
from statevec.roles import gateway_kernels as layout
from statevec.roles.cursor import Cursor
from statevec.roles.gateway import UINT64, Gateway, Output
from statevec.roles.gateway_kernels import ASK, EXPIRED, NOTHING, next_output

__all__ = ["ASK", "EXPIRED", "NOTHING", "CompiledGateway", "next_output"]

_FRAME = struct.Struct("<iiq")


class CompiledGateway(Gateway):
    """As `Gateway`, with the same arguments; `block` is for `next_output` in compiled code.

    Raises `InstanceError` too when the gateway takes some messages only, and they are told apart by a header that
    compiled code does not read: it wants the template id as a little-endian uint16 at offset 2.
    """

    def __init__(self, instance: str | Path, name: str, *arguments: Any, **options: Any) -> None:
        self.block = Region.allocate(layout.BLOCK_SIZE)
        self._taken_before = 0
        super().__init__(instance, name, *arguments, **options)
        self._asked = Region.allocate(self.instance.genesis.max_entry)
        self.block.store_i64(layout.ASKS, 1)
        if self._filter is not None:
            templates = self._filter.template_ids
            if not self._filter.has_plain_header or len(templates) > layout.MOST_TEMPLATES:
                self.close()
                raise InstanceError(f"messages are not told apart by a standard header: gateway {name!r}")
            self.block.store_i64(layout.TEMPLATE_COUNT, len(templates))
            for number, template in enumerate(sorted(templates)):
                self.block.store_i64(layout.TEMPLATES + 8 * number, template)

    def ask(self) -> None:
        """Do for `next_output` what compiled code cannot, when it answers ASK: afterwards it goes on.

        Raises `LogError` or `JournalError` when the log or the files have not what must follow.
        """
        self._note_taken()
        if self.block.load_i64(layout.NEXT) < self.block.load_i64(layout.END):
            return  # the entry at hand has more
        output = self.poll()
        if output is not None:
            self._handed -= 1  # it counts when compiled code takes it
            self._lay_out(output)
        self.block.store_i64(layout.ASKS, int(bool(self._pending) or self._source.reading_files))
        self.block.store_i64(layout.READER, self._source.reader_address)

    def _lay_out(self, output: Output) -> None:
        """Make an entry of one output that compiled code finds next."""
        region, block = self._asked, self.block
        place = entry_layout.INPUT
        region.view[:place] = output.entry.raw[:place]
        length = entry_layout.OUTPUT_MESSAGE + len(output.message)
        region.view[place : place + entry_layout.OUTPUT_MESSAGE] = _FRAME.pack(length, output.index, output.expires_ns)
        region.view[place + entry_layout.OUTPUT_MESSAGE : place + length] = output.message
        for offset, value in (
            (layout.ENTRY, region.address),
            (layout.ENTRY_SIZE, region.size),
            (layout.NEXT, place),
            (layout.END, place + length),
        ):
            block.store_i64(offset, value)

    def acknowledge_taken(self) -> None:
        """Say that every output that `next_output` gave was handed to the outside, or had expired. As `acknowledge`."""
        self._note_taken()
        if self._handed == self._acknowledged:
            return
        load = self.block.load_i64
        digest = f"{load(layout.DIGEST) & UINT64:016x}"
        cursor = Cursor(
            load(layout.POSITION), load(layout.EPOCH), load(layout.SEQUENCE), digest, load(layout.INDEX) + 1
        )
        self._file.write(cursor, self._durable)
        self._acknowledged = self._handed

    def _note_taken(self) -> None:
        """Count what compiled code took since the last time."""
        taken = self.block.load_i64(layout.TAKEN)
        self._handed += taken - self._taken_before
        self._taken_before = taken

    def close(self) -> None:
        """Give the gateway up; what was taken and not acknowledged comes again."""
        self._note_taken()
        super().close()
