"""What the names of the rewritten source mean in the interpreted tier: `__add`, `__where`, `__emit`, `__tick` …

`native_dispatch.NAMES` has the same names for the compiled tier; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from statevec.engine.plugin.arithmetic import FUNCTIONS
from statevec.engine.plugin.operations import ASCENDING, DESCENDING, GROUP
from statevec.engine.plugin.rewrite import PREFIX
from statevec.ipc.faults import BudgetExhausted


def tick(transaction: Any) -> None:
    """One loop turn less."""
    transaction.turns_left -= 1
    if transaction.turns_left < 0:
        raise BudgetExhausted


def where(table: Any, field: str, value: Any) -> Any:
    return table.rows(field, "group", GROUP, value)


def ascending(table: Any, field: str, value: Any) -> Any:
    return table.rows(field, "ordered", ASCENDING, value)


def descending(table: Any, field: str, value: Any) -> Any:
    return table.rows(field, "ordered", DESCENDING, value)


def unique(table: Any, field: str, value: Any) -> Any:
    return table.find_unique(field, value)


def emit(transaction: Any, message: str, expires_ns: Any) -> Any:
    return transaction.new_output(message, expires_ns)


NAMES: dict[str, Any] = {
    **{PREFIX + name: function for name, function in FUNCTIONS.items()},
    **{PREFIX + each.__name__: each for each in (tick, where, ascending, descending, unique, emit)},
    PREFIX + "store": setattr,
}
