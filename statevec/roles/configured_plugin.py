"""The plugin that a configuration names: what must be right with it before anything is made, and before it leads.

Invariants
    A new instance begins only with a plugin that loads and compiles, with gateways that its outputs fit, on a host that
    has the memory. Otherwise nothing was written: a mended configuration starts as if it were the first.
    An instance that is there is led with the plugins of its own store; the configured one waits for a cutover.

This only reads; a crash leaves at most compiled code in the cache.
"""

from __future__ import annotations

import os
import shutil

from statevec.engine.config import Config, ConfigError
from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.instance import INSTANCE_FILE
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.ipc.segment import SHARED_MEMORY, SegmentError, free_bytes
from statevec.state.arena import ArenaLayout


def check_before_genesis(config: Config) -> None:
    """Refuse what would stop a new instance half-way; nothing happens where there is one already.

    Raises `ConfigError`, `PluginError` or `SegmentError`.
    """
    if (config.directory / INSTANCE_FILE).exists():
        return
    if not config.plugin_directory.is_dir():
        raise ConfigError(f"plugin.path: {config.plugin_directory} is no directory")
    _check_room(config)
    plugin = load_plugin(config.plugin_directory)
    check_gateways(config, plugin)
    size = ArenaLayout([*ENGINE_TABLES, *plugin.table_specs]).size
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise PluginError(f"not enough memory for the tables: needed={size} has={memory}", plugin.path)
    plugin.dispatch(config.engine.tier)


def _check_room(config: Config) -> None:
    """Shared memory for log and rings, and a disk that holds a segment file."""
    needed = config.log.capacity + sum(ring.capacity for ring in config.rings)
    free = free_bytes()
    if needed > free:
        raise SegmentError(
            f"not enough shared memory: needed={needed} free={free} in {SHARED_MEMORY} for log and rings"
        )
    nearest = next(path for path in (config.directory, *config.directory.parents) if path.exists())
    room = shutil.disk_usage(nearest).free
    size = config.journal.segment_size
    if size > room:
        raise ConfigError(f"journal.segment_size: not enough room on the disk: needed={size} free={room}")


def check_gateways(config: Config, plugin: LoadedPlugin) -> None:
    """What the configuration binds to gateways must be outputs: of the plugin's schema, and no inputs of the plugin.

    One that only another version emits may be there: after a rollback an engine must still start.
    """
    outputs = sorted(each.name for each in plugin.outputs.values())
    fitting = plugin.schema.messages.keys() - (plugin.declarations.handlers.keys() - set(outputs))
    for number, gateway in enumerate(config.gateway):
        for message in gateway.messages or ():
            if message not in fitting:
                known = ", ".join(outputs) if outputs else "none"
                raise ConfigError(
                    f"gateway[{number}].messages: {message!r} is no output of {plugin.name} (outputs: {known})"
                )
