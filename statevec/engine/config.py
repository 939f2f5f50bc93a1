"""The configuration of one engine process: a TOML file read into typed structures, with the path of a wrong value.

A configuration that works:

    [instance]
    directory = "instance"

    [plugin]
    path = "plugins/hedge"

    [[ring]]
    name = "market"

Invariants
    Unknown keys are refused. Relative paths count from the directory of the file. Sizes are bytes, or a text such as
    "64MiB"; durations are nanoseconds, or a text such as "250ms". A ring named `operator` is always there.

The engine process reads the file once, when it starts; nothing writes it.
"""

from __future__ import annotations

import grp
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from statevec.engine import loop_layout
from statevec.ipc import log_layout
from statevec.ipc.pinning import available_cores

OPERATOR_RING = "operator"
ADMIN_RING = "admin"
ADMIN_RING_CAPACITY = 1 << 16
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
RING_CAPACITY_LEAST = 4096
RING_CAPACITY_MOST = 1 << 30
LOG_CAPACITY_LEAST = 4 * log_layout.UNIT
BATCH_SIZE_MOST = 4096

_SIZE = re.compile(r"(\d+) ?(B|KiB|MiB|GiB)")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION = re.compile(r"(\d+) ?(ns|us|ms|s|min|h|d)")
_DURATION_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}


class ConfigError(Exception):
    """The configuration is not usable; the text names the file, the path of the value, and the rule."""


class Size(int):
    """A number of bytes."""


class Duration(int):
    """A number of nanoseconds."""


class InstanceConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the instance lives and when its entries may be acted on."""

    directory: str
    durability: Literal["memory", "disk"] = "disk"
    group: str | None = None
    """Name of the group that may attach to the segments; without one only the owner may."""


class EngineConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the engine's thread runs."""

    core: int | None = None
    idle: Literal["spin", "yield", "sleep"] = "yield"
    batch_size: int = 64
    clock_tolerance: Duration = Duration(10_000_000_000)
    """How far the clock may be behind the last entry's time before an operator must accept it."""
    downtime_tolerance: Duration = Duration(30 * 86_400_000_000_000)
    """How far the clock may be ahead of the last entry's time before an operator must accept it."""
    poison_limit: int = 3
    loop_budget: int = 1_000_000
    tier: Literal["compiled", "interpreted"] = "compiled"


class CutoverConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a shadow must have shown before its candidate may decide without `--force`."""

    min_compared: int = 1_000
    """Entries compared without an unexpected difference."""
    max_report_age: Duration = Duration(60_000_000_000)
    """How old the shadow's report may be."""


class ProbationConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new version may do in its first entries; beyond it the version before decides again."""

    entries: int = 1_000
    max_faults: int = 0
    max_rejections: int | None = None
    max_violations: int = 0
    slow_after: Duration | None = None
    """A transaction that takes longer counts as slow; without it time does not matter."""
    max_slow: int = 0


class LogConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The log's segment in shared memory."""

    capacity: Size = Size(64 << 20)


class JournalConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The journal's segment files."""

    segment_size: Size = Size(64 << 20)


class RetentionConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Snapshots, and what `statevec retain` does with segments that nobody needs at hand any more."""

    snapshot_every: Duration = Duration(600_000_000_000)
    """How often a standby takes a snapshot; 0 never."""
    keep_snapshots: int = 3
    """How many stay; segments go only when they lie below all of them."""
    cold: str | None = None
    """Directory for compressed segments; without it, and without `delete`, everything stays."""
    delete: bool = False
    """Whether segments go for good."""


class AlarmsConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a watcher of the instance looks for, and the command that it runs on each alarm."""

    command: list[str] = []
    """Program and arguments; without it nothing is run."""
    timeout: Duration = Duration(10_000_000_000)
    """How long the command may take."""
    repeat_after: Duration = Duration(300_000_000_000)
    """How soon the same alarm about the same thing may be told again."""
    gateway_after: Duration = Duration(30_000_000_000)
    """How long a released output may wait for its gateway."""
    standby_behind: Size = Size(64 << 20)
    """How far a standby may lag."""
    disk_free: Size = Size(1 << 30)
    """Below it the instance's disk is low."""
    shared_memory_free: Size = Size(64 << 20)


class PluginConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The plugin that decides."""

    path: str


class RingConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One producer's ring."""

    name: str
    capacity: Size = Size(4 << 20)


class GatewayConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which output messages a gateway hands out; without `messages` all of them."""

    name: str
    messages: list[str] | None = None


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file. `rings` includes the operator's ring."""

    instance: InstanceConfig
    plugin: PluginConfig
    engine: EngineConfig = EngineConfig()
    log: LogConfig = LogConfig()
    journal: JournalConfig = JournalConfig()
    retention: RetentionConfig = RetentionConfig()
    cutover: CutoverConfig = CutoverConfig()
    probation: ProbationConfig = ProbationConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    ring: list[RingConfig] = []
    gateway: list[GatewayConfig] = []

    @property
    def directory(self) -> Path:
        return Path(self.instance.directory)

    @property
    def plugin_directory(self) -> Path:
        return Path(self.plugin.path)

    @property
    def rings(self) -> list[RingConfig]:
        return [RingConfig(OPERATOR_RING, Size(1 << 18)), *self.ring]


def load_config(path: str | Path) -> Config:
    """Read and check the file at `path`; paths in the result are absolute. Raises `ConfigError`."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {file}: {error}") from error
    try:
        return parse_config(text, file.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def parse_config(text: str, base: Path) -> Config:
    """The configuration in `text`; relative paths count from `base`. Raises `ConfigError`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    try:
        config = msgspec.convert(raw, Config, dec_hook=_decode_quantity)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error))) from error
    _check(config)
    cold = config.retention.cold
    found = msgspec.structs.replace(
        config,
        instance=msgspec.structs.replace(config.instance, directory=str(base / config.instance.directory)),
        plugin=PluginConfig(str(base / config.plugin.path)),
        retention=msgspec.structs.replace(config.retention, cold=str(base / cold) if cold is not None else None),
    )
    _check_host(found)
    return found


def _decode_quantity(kind: type, value: Any) -> Any:
    """Turn a number or a text with a unit into a `Size` or a `Duration`."""
    pattern, units, example = (_SIZE, _SIZE_UNITS, "64MiB") if kind is Size else (_DURATION, _DURATION_UNITS, "250ms")
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"must not be negative, got {value}")
        return kind(value)
    found = pattern.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected a number or a text such as "{example}", got {value!r}')
    return kind(int(found[1]) * units[found[2]])


def _readable(message: str) -> str:
    """msgspec's message, with the path of the value first: `engine.core: expected int or nothing, got str`."""
    text, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    missing = re.fullmatch(r"Object missing required field `(.*)`", text)
    key = (unknown or missing or [None, None])[1]
    if key is not None:
        path = f"{path}.{key}" if path else key
        text = "unknown key" if unknown else "missing"
    if text.startswith("Invalid enum value"):
        text = f"must be {_choices(path)}, got {text.removeprefix('Invalid enum value ')}"
    text = text.replace("`", "").replace("object", "table").replace("array", "list").replace(" | null", "")
    return f"{path}: {text[:1].lower()}{text[1:]}" if path else text


def _choices(path: str) -> str:
    """The texts that the key at `path` may have."""
    kind: Any = Config
    for name in path.split("."):
        kind = get_type_hints(kind)[name]
    *most, last = (f'"{each}"' for each in get_args(kind))
    return f"{', '.join(most)} or {last}"


def _require(holds: bool, path: str, rule: str) -> None:
    if not holds:
        raise ConfigError(f"{path}: {rule}")


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _check(config: Config) -> None:
    """The relations that types alone do not state."""
    engine = config.engine
    _require(engine.core is None or engine.core >= 0, "engine.core", f"must not be negative, got {engine.core}")
    in_range = 1 <= engine.batch_size <= BATCH_SIZE_MOST
    _require(in_range, "engine.batch_size", f"must be 1 to {BATCH_SIZE_MOST}, got {engine.batch_size}")
    _require(engine.loop_budget > 0, "engine.loop_budget", f"must be positive, got {engine.loop_budget}")
    _require(engine.poison_limit > 0, "engine.poison_limit", f"must be positive, got {engine.poison_limit}")
    for name in ("entries", "max_faults", "max_rejections", "max_violations", "max_slow"):
        value = getattr(config.probation, name)
        _require(value is None or value >= 0, f"probation.{name}", f"must not be negative, got {value}")
    retention = config.retention
    keep = retention.keep_snapshots
    _require(keep >= 1, "retention.keep_snapshots", f"must be 1 or more, got {keep}")
    either = not (retention.cold is not None and retention.delete)
    _require(either, "retention.delete", "segments are either archived or deleted: leave out cold or delete")
    command = config.alarms.command
    _require(all(command), "alarms.command", f"holds an empty text: {command}")
    capacity = config.log.capacity
    fits = _power_of_two(capacity) and capacity >= LOG_CAPACITY_LEAST
    _require(fits, "log.capacity", f"must be a power of two of at least {LOG_CAPACITY_LEAST}, got {capacity}")
    size = config.journal.segment_size
    whole = size > 0 and size % log_layout.UNIT == 0
    _require(whole, "journal.segment_size", f"must be a multiple of {log_layout.UNIT}, got {size}")
    most = loop_layout.MAX_RINGS
    _require(
        len(config.rings) <= most, "ring", f"at most {most - 1} rings beside the operator's, got {len(config.ring)}"
    )
    seen = {OPERATOR_RING, ADMIN_RING}
    for number, ring in enumerate(config.ring):
        path = f"ring[{number}]"
        _check_name(
            ring.name,
            f"{path}.name",
            seen,
            "is always there, leave it out" if ring.name in (OPERATOR_RING, ADMIN_RING) else "",
        )
        fits = _power_of_two(ring.capacity) and RING_CAPACITY_LEAST <= ring.capacity <= RING_CAPACITY_MOST
        rule = f"must be a power of two from {RING_CAPACITY_LEAST} to {RING_CAPACITY_MOST}, got {ring.capacity}"
        _require(fits, f"{path}.capacity", rule)
    gateways: set[str] = set()
    for number, gateway in enumerate(config.gateway):
        path = f"gateway[{number}]"
        _check_name(gateway.name, f"{path}.name", gateways, "")
        _require(gateway.messages != [], f"{path}.messages", "names no message; leave it out for all of them")


def _check_host(config: Config) -> None:
    """What depends on the host, so that it is known before anything is made."""
    core = config.engine.core
    if core is not None and core not in available_cores():
        count = os.cpu_count() or 1
        allowed = ", ".join(str(each) for each in sorted(available_cores()))
        _require(core < count, "engine.core", f"core {core} does not exist, there are 0-{count - 1}")
        _require(False, "engine.core", f"core {core} is not allowed to this process, allowed are {allowed}")
    group = config.instance.group
    if group is not None:
        try:
            grp.getgrnam(group)
        except KeyError:
            _require(False, "instance.group", f"this host has no group {group!r}")
    for path in (config.directory, *config.directory.parents):
        if path.exists():
            _require(path.is_dir(), "instance.directory", f"{path} is no directory")
            break


def _check_name(name: str, path: str, seen: set[str], reserved: str) -> None:
    shape = "must be 1 to 31 of a-z, 0-9, - and _, not starting with - or _"
    _require(NAME.fullmatch(name) is not None, path, f"{shape}, got {name!r}")
    _require(name not in seen, path, f"{name!r} {reserved or 'stands there twice'}")
    seen.add(name)
