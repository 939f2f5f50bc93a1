"""A migration in the interpreted tier: the common steps as plain Python, migrate functions over views of both rows.

Invariant: no exception leaves the callback. A `Fault` gives its outcome, any other exception PLUGIN_FAULT; `last_error`
keeps it for people.

The arenas belong to who migrates; a crash leaves nothing.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from statevec.codecs.accessors import view_class
from statevec.engine.plugin.interpreted_records import RecordView
from statevec.engine.plugin.migration_run import bind, convert_template, migrate_template
from statevec.ipc.faults import COMMITTED, PLUGIN_FAULT, Fault
from statevec.ipc.memory import DISPATCH, Region
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.transaction_layout import ARENA_ADDRESS, ARENA_SIZE

if TYPE_CHECKING:
    from statevec.engine.plugin.migration import MigrationPlan


class InterpretedMigration:
    """A plan's function in plain Python; keep the object as long as the address is used."""

    def __init__(self, plan: MigrationPlan) -> None:
        self._functions = [
            (
                pair.function.function,
                view_class(pair.old.name, pair.old.fields, False, RecordView),
                view_class(pair.new.name, pair.new.fields, True, RecordView),
            )
            for pair in plan.pairs
        ]
        program = Region.of(bytearray(plan.program))
        bindings: dict[str, Any] = {"convert": self._convert, "program_region": lambda unused: program}
        bindings["convert_rows"] = bind(convert_template, bindings)
        self._migrate = bind(migrate_template, bindings)
        self.last_error: BaseException | None = None
        self._callback = DISPATCH(self._run)
        address = ctypes.cast(self._callback, ctypes.c_void_p).value
        assert address is not None
        self.address: int = address

    def _run(self, old_transaction: int, new_transaction: int, unused: int) -> int:
        try:
            return int(self._migrate(old_transaction, new_transaction, unused))
        except BaseException as error:
            self.last_error = error
            return PLUGIN_FAULT

    def _convert(self, old: Region, new: Region, number: int, old_row: int, new_row: int) -> int:
        function, read, change = self._functions[number]
        try:
            function(
                read(_arena(old), old_row + ROW_HEADER_SIZE),
                change(_arena(new), new_row + ROW_HEADER_SIZE),
            )
        except Fault as fault:
            self.last_error = fault
            return fault.outcome
        except BaseException as error:
            self.last_error = error
            return PLUGIN_FAULT
        return COMMITTED


def _arena(tx: Region) -> Any:
    return (ctypes.c_ubyte * tx.load_i64(ARENA_SIZE)).from_address(tx.load_i64(ARENA_ADDRESS))
