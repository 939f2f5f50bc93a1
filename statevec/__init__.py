"""statevec: business logic as a deterministic state machine over one log in shared memory.

The names a plugin's module imports. They are looked up on first use, so that `import statevec` alone stays cheap and
no package below the plugin contract depends on it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from statevec.audit.journal_columns import Journal
    from statevec.engine.plugin.declare import Plugin
    from statevec.engine.plugin.errors import PluginError
    from statevec.engine.plugin.kinds import (
        Index,
        Key,
        Ordered,
        Unique,
        chars,
        f64,
        i8,
        i16,
        i32,
        i64,
        u8,
        u16,
        u32,
        u64,
    )
    from statevec.engine.plugin.loader import load_plugin

__all__ = [
    "Index",
    "Journal",
    "Key",
    "Ordered",
    "Plugin",
    "PluginError",
    "Unique",
    "chars",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "load_plugin",
    "u8",
    "u16",
    "u32",
    "u64",
]

_PLUGIN_CONTRACT = "statevec.engine.plugin"
_HOMES = {
    "Journal": "statevec.audit.journal_columns",
    "Plugin": f"{_PLUGIN_CONTRACT}.declare",
    "PluginError": f"{_PLUGIN_CONTRACT}.errors",
    "load_plugin": f"{_PLUGIN_CONTRACT}.loader",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, f"{_PLUGIN_CONTRACT}.kinds")), name)
