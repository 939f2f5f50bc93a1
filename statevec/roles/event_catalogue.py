"""Every event that a process of statevec reports: its level, its fields, what it means, what to do.

    EVENTS[name] ─► EventKind        `events.report` takes the level from here; `docs/events.md` shows the same table

Levels: `info` is for the record, `warning` wants a look in working hours, `alarm` wants somebody now.

Invariant: a test compares this with every `report("name", …)` in the sources: no event is missing, none is here that
nobody reports, and the fields are those.
"""

from __future__ import annotations

from dataclasses import dataclass

INFO, WARNING, ALARM = "info", "warning", "alarm"
COMMON_FIELDS = ("event", "at", "level", "role", "instance", "pid")
"""Of every event. `instance` is the instance's id, empty before it is known."""


@dataclass(frozen=True)
class EventKind:
    """One kind of event. `fields` come beside the common ones; those in `sometimes` only when there is something."""

    level: str
    fields: tuple[str, ...]
    meaning: str
    action: str = ""
    sometimes: tuple[str, ...] = ()


def _kind(level: str, fields: str, meaning: str, action: str = "", sometimes: str = "") -> EventKind:
    return EventKind(level, tuple(fields.split()), meaning, action, tuple(sometimes.split()))


DIFFERS = "run `statevec verify`; keep the directory as it is"
RING = "mend the producer, then `statevec ring release`"

EVENTS: dict[str, EventKind] = {
    # an engine process, whichever role it has
    "started": _kind(INFO, "directory genesis", "It has the lock and takes over."),
    "standing_by": _kind(INFO, "behind", "Somebody else leads; it waits for the lock."),
    "following": _kind(INFO, "sequence", "As a standby it runs the leader's entries."),
    "recovered": _kind(INFO, "sequence position adopted_log stood_by snapshot", "Its state is that of the log's end."),
    "leading": _kind(INFO, "epoch sequence position seconds", "It leads; `seconds` since it had the lock."),
    "stopped": _kind(INFO, "by", "It ended as it was told to.", sometimes="sequence position"),
    "failed": _kind(
        ALARM, "error", "The engine process ends with an error.", "the error says what; `docs/operating.md`"
    ),
    "memory_not_locked": _kind(WARNING, "reason", "Its memory may be paged out.", "raise `LimitMEMLOCK`"),
    "configured_plugin_unusable": _kind(
        WARNING, "path error", "The configured plugin does not load; another version decides.", "mend the plugin"
    ),
    "configured_plugin_waits": _kind(
        WARNING,
        "configured decides content_hash",
        "The configured plugin is not the one that decides.",
        "`statevec cutover`, or change the configuration",
    ),
    # the leader
    "quarantined": _kind(ALARM, "ring reason", "A ring is not read any more, from the start of this lead.", RING),
    "ring_suspect": _kind(ALARM, "ring reason", "A ring holds what cannot be; it is quarantined.", RING),
    "ring_damaged": _kind(ALARM, "ring reason", "A ring's segment is not what it must be.", RING),
    "ring_released": _kind(INFO, "ring", "A quarantined ring was replaced by a new one."),
    "engine_silent": _kind(
        ALARM,
        "for_ns running_source running_sequence",
        "The engine's thread gives no sign of life.",
        "look at the input it runs; a standby with --kill-hung-after ends it",
    ),
    "segment_not_prepared": _kind(
        WARNING, "error", "The journal's next segment cannot be made yet.", "free disk space"
    ),
    "admin": _kind(INFO, "accepted who why answer", "An operator's command was judged."),
    "admin_ring_closed": _kind(ALARM, "reason", "The operators' ring holds what cannot be.", "hand over or restart"),
    "cutover": _kind(INFO, "sequence name version hash", "That version decides behind this sequence."),
    "cutover_failed": _kind(
        ALARM, "sequence outcome version", "A cutover was not carried out.", "see the outcome; order it again"
    ),
    "probation_failed": _kind(
        ALARM,
        "sequence left outcome decides",
        "The new version went beyond its limits; the one before decides again.",
        "find out why before the next cutover",
    ),
    # a standby, and what followers do
    "leader_silent": _kind(
        ALARM,
        "leader seconds epoch",
        "The leader's process is there and gives no sign of life.",
        "look at the process; end it, a standby goes on",
    ),
    "leader_back": _kind(INFO, "leader epoch", "A silent leader gives signs of life again."),
    "leader_killed": _kind(ALARM, "leader epoch", "A standby ended a leader that hung.", "find out why it hung"),
    "snapshot_taken": _kind(INFO, "sequence position path seconds", "A snapshot has its name."),
    "snapshot_failed": _kind(
        ALARM, "sequence error", "A standby could not write a snapshot.", "free disk space; see the error"
    ),
    "snapshot_refused": _kind(
        ALARM, "path reason", "A snapshot cannot be used; an older one is.", "remove it; take another one"
    ),
    "segments_taken_away": _kind(INFO, "segments bytes cold floor", "Retention archived or removed segments."),
    "shadow_differs": _kind(
        ALARM,
        "candidate sequence paths",
        "A candidate decides otherwise, and no rule explains it: the first time.",
        "look at the shadow's report",
    ),
    "shadow_ended": _kind(INFO, "candidate compared expected unexpected", "A shadow ended."),
    "projection_failed": _kind(
        ALARM,
        "file error",
        "A projector that follows the instance ends with an error.",
        "the error says what; it goes on where its file is",
    ),
    # producers and gateways, in their own processes
    "ring_repaired": _kind(WARNING, "ring padded_bytes next_sequence", "The producer before this one died in a claim."),
    "gateway_lapped": _kind(
        WARNING,
        "gateway position",
        "A gateway is behind the log's window and reads files.",
        "a larger `log.capacity`, or a faster gateway",
    ),
    "gateway_log_replaced": _kind(INFO, "gateway position log", "A gateway goes on in a new log."),
    "output_expired": _kind(
        WARNING,
        "gateway epoch sequence index expired",
        "An output was too old to go out (told at 1, 2, 4, 8 … of them).",
        "see why the gateway was late",
    ),
    # whoever watches for alarms
    "watching": _kind(INFO, "command", "Alarms are looked for; `command` is run on each."),
    "leader_gone": _kind(ALARM, "leader epoch", "Nobody leads: the leader's process is not there.", "start an engine"),
    "leader_changed": _kind(
        WARNING, "leader epoch before", "Another process leads than before.", "see why the one before ended"
    ),
    "halted": _kind(ALARM, "reason", "A disk error stopped the engine.", "`docs/operating.md`, halted by a disk error"),
    "ring_quarantined": _kind(ALARM, "ring", "A ring is not read any more.", RING),
    "standby_lost": _kind(WARNING, "standby", "A standby is not there any more.", "start another one"),
    "standby_behind": _kind(
        ALARM, "standby bytes most", "A standby lags beyond the limit.", "see what its core is shared with"
    ),
    "gateway_stuck": _kind(
        ALARM,
        "gateway seconds sequence",
        "An output waits for a gateway that does not acknowledge.",
        "look at the gateway's process",
    ),
    "disk_low": _kind(ALARM, "free least", "The instance's disk is nearly full.", "`statevec retain`, or more disk"),
    "shared_memory_low": _kind(WARNING, "free least", "/dev/shm is nearly full.", "`statevec clean`"),
    "inputs_faulted": _kind(
        WARNING, "faulted more", "Inputs ended in a fault.", "`statevec journal`: outcome and input"
    ),
    "engine_waits": _kind(
        WARNING,
        "full_turns more",
        "The engine waited for the journaler: the log was full.",
        "a faster disk, a larger log",
    ),
    "look_failed": _kind(WARNING, "error", "The watcher could not look at the instance."),
    "hook_failed": _kind(
        WARNING, "command error", "The command that is run on alarms failed.", "mend it; alarms go on"
    ),
}


def level_of(event: str) -> str:
    """The level of an event; a name that is not here is a warning, so that it is seen."""
    kind = EVENTS.get(event)
    return WARNING if kind is None else kind.level


def table() -> str:
    """The catalogue as it stands in `docs/events.md`."""
    rows = ["| event | level | fields | meaning | what to do |", "| --- | --- | --- | --- | --- |"]
    for name, kind in EVENTS.items():
        fields = ", ".join([*(f"`{each}`" for each in kind.fields), *(f"(`{each}`)" for each in kind.sometimes)])
        rows.append(f"| `{name}` | {kind.level} | {fields} | {kind.meaning} | {kind.action} |")
    return "\n".join(rows)
