"""Ways to break the rules of `docs/protocols.md` on purpose, and the test that must then fail.

Each is the smallest change that breaks its rule: a line of one file, and what stands there instead. `tools.mutations`
applies one at a time to a copy of the tree. What no test can see here: the fences of rule 6, which x86 has anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOP = "tests/engine/test_loop.py"
RING = "tests/ipc/test_ring_kernels.py"
RECOVERY = "tests/journal/test_recovery.py"
SNAPSHOTS = "tests/snapshot/test_snapshot_files.py"
RUNNING = "tests/roles/test_running_engine.py"
STANDBY = "tests/roles/test_standby.py"
TIME = "tests/engine/test_time.py"
INSTANCE = "tests/roles/test_instance.py"
POWER = "tests/power_loss/test_power_loss.py"
SIMULATION = "tests/simulation/test_simulation.py"
FAULTS = "tests/faults/test_disk_faults.py"
FLIPS = "tests/audit/test_bit_flips.py"


@dataclass(frozen=True)
class Mutation:
    """One change: `old`, once in `file`, becomes `new`; `check` is a test, a kind of kills, how many seeds or cuts."""

    rule: int
    breaks: str
    file: str
    old: str
    new: str
    check: str


MUTATIONS = [
    Mutation(
        1, "resume at the head alone", "statevec/ipc/ring_kernels.py",
        "    return max(journaled_end, head)", "    return head",
        f"{RING}::test_rule_1_a_new_leader_resumes_at_the_higher_position",
    ),
    Mutation(
        1, "believe positions that cannot both be", "statevec/ipc/ring_kernels.py",
        "    if journaled_end > head + capacity or head > journaled_end + capacity:", "    if journaled_end < 0:",
        f"{RING}::test_rule_1_a_new_leader_resumes_at_the_higher_position",
    ),
    Mutation(
        1, "record the start of a record instead of its end", "statevec/engine/rings.py",
        "CONSUMER_HEAD))\n    entry.store_i64(entries.SENT_NS",
        "CONSUMER_BODY))\n    entry.store_i64(entries.SENT_NS",
        f"{LOOP}::test_the_head_moves_after_the_entries_are_published[plain]",
    ),
    Mutation(
        2, "advance the head before the entries are published", "statevec/engine/rings.py",
        "        publish(loop, log)\n        tell_appended(block)\n",
        "        release_head(ring, consumer)\n        publish(loop, log)\n        tell_appended(block)\n",
        "kills:before_publish",
    ),
    Mutation(
        2, "advance the head before the entries are published, on any schedule", "statevec/engine/rings.py",
        "        publish(loop, log)\n        tell_appended(block)\n",
        "        release_head(ring, consumer)\n        publish(loop, log)\n        tell_appended(block)\n",
        "seeds:60",
    ),
    Mutation(
        3, "leave what the dead producer claimed as it is", "statevec/ipc/ring_repair.py",
        "    if position < tail:\n        index", "    if position > tail:\n        index",
        f"{RING}::test_rule_3_repair_pads_to_the_tail",
    ),
    Mutation(
        3, "leave the header at the tail as it is", "statevec/ipc/ring_repair.py",
        "    ring.store_i64(tail & (capacity - 1), 0)\n", "",
        f"{RING}::test_rule_3_repair_pads_to_the_tail",
    ),
    Mutation(
        3, "go on after what the ring has, not the log", "statevec/ipc/ring_repair.py",
        "    last = max(result.load_i64(RESULT_LAST_SEQUENCE), appended)",
        "    last = result.load_i64(RESULT_LAST_SEQUENCE)",
        "tests/ipc/test_ring.py::test_rule_3_a_producer_goes_on_after_what_log_and_ring_have",
    ),
    Mutation(
        4, "take a number that comes again", "statevec/engine/rings.py",
        "    if sequence <= last:", "    if sequence < last:",
        f"{LOOP}::test_equal_or_lower_sequences_are_skipped_and_the_first_of_a_run_is_an_entry[plain]",
    ),
    Mutation(
        4, "take the number again that was the last one, on any schedule", "statevec/engine/rings.py",
        "    if sequence <= last:", "    if sequence < last:",
        SIMULATION,
    ),
    Mutation(
        4, "do not mark a gap", "statevec/engine/rings.py",
        "        entry.store_i32(entries.FLAGS, entries.FLAG_GAP)", "        entry.store_i32(entries.FLAGS, 0)",
        f"{LOOP}::test_a_jump_of_the_sequence_is_marked[plain]",
    ),
    Mutation(
        5, "believe a length beyond the ring's end", "statevec/ipc/ring_kernels.py",
        "    if magnitude < RECORD_HEADER_SIZE or magnitude > capacity - index:",
        "    if magnitude < RECORD_HEADER_SIZE:",
        f"{RING}::test_a_header_that_cannot_be_has_a_name",
    ),
    Mutation(
        5, "do not quarantine a ring with nonsense", "statevec/engine/rings.py",
        "    if length < 0 and length != ring_kernels.EMPTY:", "    if length > 0 and length == ring_kernels.EMPTY:",
        f"{LOOP}::test_a_ring_with_nonsense_is_quarantined_and_the_others_go_on[plain]",
    ),
    Mutation(
        5, "leave rings unguarded against a file that shrinks", "statevec/roles/engine_rings.py",
        "    guard(segment.region)  #", "    assert guard  #",
        f"{RUNNING}::test_a_ring_whose_file_was_cut_is_quarantined_and_the_engine_lives",
    ),
    Mutation(
        6, "take the whole log for a reader's window", "statevec/ipc/log_kernels.py",
        "- position <= capacity - MAX_BATCH_BYTES", "- position <= capacity",
        "tests/ipc/test_log_interleavings.py",
    ),
    Mutation(
        6, "do not look again after copying", "statevec/ipc/log_kernels.py",
        "    if not within_window(log, capacity, position):\n        return LAPPED\n    return length if",
        "    return length if",
        "tests/ipc/test_log_interleavings.py",
    ),
    Mutation(
        7, "forget the batch that is being written", "statevec/ipc/log_kernels.py",
        "    return position + MAX_BATCH_BYTES - log", "    return position - log",
        f"{LOOP}::test_a_full_log_stops_polling_and_the_ring_says_back_pressured[plain]",
    ),
    Mutation(
        8, "let retention pass a gateway's cursor", "statevec/roles/retention.py",
        "        if cursor.position < position:", "        if cursor.position < 0:",
        "tests/snapshot/test_retention.py::test_a_gateway_holds_what_it_has_not_acknowledged",
    ),
    Mutation(
        8, "take segments away behind a cursor that power loss takes back", "statevec/roles/retention.py",
        "        if cold is not None or delete:\n            _make_cursors_durable(instance)\n", "",
        POWER,
    ),
    Mutation(
        9, "do not look behind a bad entry", "statevec/journal/reader.py",
        "            if segment.end > position:\n                beyond",
        "            if segment.end < position:\n                beyond",
        f"{RECOVERY}::test_zeros_in_the_middle_are_damage_and_not_the_end",
    ),
    Mutation(
        9, "forget what others saw durable", "statevec/journal/recovery.py",
        "    durable = reader.judge(cursor, durable)", "    durable = reader.judge(cursor, 0)",
        f"{RECOVERY}::test_durable_known_elsewhere_forbids_a_cut",
    ),
    Mutation(
        9, "leave the tail that is cut as it is", "statevec/journal/recovery.py",
        "            zero_range(segment,", "            sync_segment(segment) or (segment,",
        f"{RECOVERY}::test_a_torn_last_entry_with_old_bytes_behind_is_cut",
    ),
    Mutation(
        10, "name a segment before its bytes are synced", "statevec/journal/segments.py",
        "        sync_file(file, temporary)\n    finally:\n        os.close(file)\n    if path.exists():",
        "    finally:\n        os.close(file)\n    if path.exists():",
        "tests/journal/test_segments.py::test_the_steps_of_making_a_segment_come_in_their_order",
    ),
    Mutation(
        10, "do not sync a segment's name", "statevec/journal/segments.py",
        "    sync_directory(directory)\n    return SegmentFile(path, first, size)",
        "    return SegmentFile(path, first, size)",
        "tests/journal/test_segments.py::test_the_steps_of_making_a_segment_come_in_their_order",
    ),
    Mutation(
        10, "lose a segment's name with the power, and what was released in it", "statevec/journal/segments.py",
        "    sync_directory(directory)\n    return SegmentFile(path, first, size)",
        "    return SegmentFile(path, first, size)",
        POWER,
    ),
    Mutation(
        11, "go on behind what the last journaler did not write, on any schedule", "statevec/journal/journaler.py",
        "        start = start_of_journaling(durability, durable, appended, capacity)", "        start = appended",
        SIMULATION,
    ),
    Mutation(
        11, "release what is not durable yet", "statevec/journal/journaler_kernels.py",
        "    kill_point(BEFORE_FDATASYNC)\n    answer",
        "    log.store_release(RELEASED_BY_JOURNALER, block.load_i64(layout.WRITTEN_POSITION))\n    answer",
        POWER,
    ),
    Mutation(
        11, "take over a log that a disk error halted", "statevec/roles/halted.py",
        "    if log is not None and load_acquire(log.region, log_layout.HALTED) != 0:", "    if log is None:",
        f"{FAULTS}::test_an_engine_whose_disk_fails_releases_nothing_more_and_loses_nothing[full disk]",
    ),
    Mutation(
        11, "cut again after a failed fsync as if it had not failed", "statevec/journal/halt_mark.py",
        '        if error.call == "fsync":', '        if error.call == "never":',
        f"{FAULTS}::test_a_failed_fsync_of_a_repair_leaves_the_mark",
    ),
    Mutation(
        11, "trust what the last journaler wrote and did not sync", "statevec/journal/journaler.py",
        "        start = start_of_journaling(durability, durable, appended, capacity)", "        start = appended",
        "tests/journal/test_journaler.py::test_a_new_journaler_writes_again_from_durable_to_appended",
    ),
    Mutation(
        11, "lead although a halt mark is there", "statevec/engine/instance.py",
        "        reason = self.halt_reason()\n        if reason is not None:",
        '        reason = self.halt_reason()\n        if reason == "":',
        f"{INSTANCE}::test_a_halt_mark_stays_until_it_is_cleared",
    ),
    Mutation(
        12, "name a snapshot before its position is durable", "statevec/roles/snapshot.py",
        "            while not is_durable():", "            while is_durable() is None:",
        f"{SNAPSHOTS}::test_the_final_name_comes_only_when_the_position_is_durable",
    ),
    Mutation(
        12, "remove the last snapshot before the next one's name is durable", "statevec/roles/snapshot.py",
        "        sync_directory(directory)\n        for old", "        for old",
        "cuts:600",
    ),
    Mutation(
        12, "name a snapshot before its bytes are durable", "statevec/engine/snapshot_file.py",
        "        sync_file(descriptor, path)\n", "",
        POWER,
    ),
    Mutation(
        12, "let a standby pass over an entry", "statevec/roles/standby_kernels.py",
        "        if replay_entry(tx, block, entry, scratch) == DIGEST_DIFFERS:",
        "        if entry.load_i32(entries.KIND) == entries.DUPLICATES:\n            continue\n"
        "        if replay_entry(tx, block, entry, scratch) == DIGEST_DIFFERS:",
        SIMULATION,
    ),
    Mutation(
        12, "use a snapshot of another history", "statevec/roles/snapshot.py",
        "    if hex64(digest) != header.digest:", "    if not digest:",
        f"{SNAPSHOTS}::test_one_that_does_not_belong_to_the_log_is_refused",
    ),
    Mutation(
        12, "use a snapshot beyond the log", "statevec/roles/snapshot.py",
        "    if header.position > last:", "    if header.position < 0:",
        f"{SNAPSHOTS}::test_one_beyond_a_given_end_is_refused",
    ),
    Mutation(
        13, "lead without the lock", "statevec/engine/instance.py",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_SH)",
        f"{INSTANCE}::test_the_lock_names_who_leads",
    ),
    Mutation(
        13, "follow a leader whose log is another one", "statevec/roles/standing_by.py",
        "        if not leader.log or seen == leader.log:", "        if leader.log or seen:",
        f"{STANDBY}::test_a_standby_does_not_follow_a_leader_whose_log_it_does_not_see",
    ),
    Mutation(
        13, "be a gateway without the lock of its name", "statevec/roles/cursor.py",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_SH)",
        f"{RUNNING}::test_one_process_is_a_gateway",
    ),
    Mutation(
        14, "begin an epoch a second time", "statevec/engine/instance.py",
        "        if epoch <= last:", "        if epoch < last:",
        f"{INSTANCE}::test_epochs_only_grow_and_survive",
    ),
    Mutation(
        14, "do not persist the epoch", "statevec/roles/leader.py",
        "        self.instance.begin_epoch(self.epoch)\n", "",
        "tests/roles/test_engine_process.py::test_an_engine_started_again_goes_on_where_it_ended",
    ),
    Mutation(
        14, "do not wait until the epoch is durable", "statevec/engine/instance.py",
        '        replace_file(self.directory / EPOCH_FILE, b"%d\\n" % epoch)',
        '        replace_file(self.directory / EPOCH_FILE, b"%d\\n" % epoch, durable=False)',
        POWER,
    ),
    Mutation(
        14, "do not make the epoch's new name durable", "statevec/journal/disk.py",
        "    if durable:\n        sync_directory(path.parent)", "    assert durable is not None",
        POWER,
    ),
    Mutation(
        15, "make the log anew instead of adopting it", "statevec/roles/takeover.py",
        "    return attach_log(instance.instance_id, writable=True, populate=False)",
        "    path.unlink(missing_ok=True)\n    return None",
        "tests/roles/test_engine_process.py::test_a_killed_engine_loses_nothing_and_repeats_nothing[memory]",
    ),
    Mutation(
        15, "clean a log away with bytes beyond durable", "statevec/ipc/clean.py",
        '    return f"has {beyond} bytes beyond durable" if beyond and not discard else None', "    return None",
        "tests/ipc/test_clean.py::test_rule_15_a_log_with_bytes_beyond_durable_stays_unless_told",
    ),
    Mutation(
        16, "end a process by its number alone", "statevec/roles/standing_by.py",
        "        if started is None or abs(started - leader.started_ms) > START_TOLERANCE_MS:",
        "        if started is None:",
        f"{STANDBY}::test_a_process_with_the_leaders_number_is_not_the_leader",
    ),
    Mutation(
        17, "do not say what runs", "statevec/engine/rings.py",
        "    log.store_i64(log_page.RUNNING_SEQUENCE, sequence)\n", "",
        f"{LOOP}::test_the_control_page_says_what_runs_before_it_runs[plain]",
    ),
    Mutation(
        17, "run what killed its leaders", "statevec/engine/rings.py",
        "    return attempts > loop.load_i64(layout.POISON_LIMIT)", "    return attempts < 0",
        f"{LOOP}::test_an_input_that_killed_its_leaders_is_recorded_without_being_run[plain]",
    ),
    Mutation(
        18, "give ids without their epoch", "statevec/engine/engine_state.py",
        "    return (tx.load_i64(layout.EPOCH) << ID_BITS) | counter", "    return counter",
        f"{LOOP}::test_ids_carry_the_epoch_and_are_never_given_twice[plain]",
    ),
    Mutation(
        19, "go on where the log disagrees with the cursor", "statevec/roles/gateway.py",
        "            if found == cursor:", "            if found.position == cursor.position:",
        f"{RUNNING}::test_a_gateway_stops_where_log_and_cursor_disagree",
    ),
    Mutation(
        19, "acknowledge an output that was not handed out", "statevec/roles/gateway.py",
        "        self._file.write(_cursor_of(output.entry, output.index + 1), self._durable)",
        "        self._file.write(_cursor_of(output.entry, output.index + 2), self._durable)",
        f"{RUNNING}::test_a_cursor_stands_between_two_outputs_of_one_entry",
    ),
    Mutation(
        19, "acknowledge before the disk has the cursor", "statevec/roles/gateway.py",
        "index + 1), self._durable)", "index + 1), False)",
        POWER,
    ),
    Mutation(
        19, "acknowledge an output before it is handed out", "statevec/roles/gateway.py",
        "                self._handed += 1\n",
        "                self._handed += 1\n                self.acknowledge(output)\n",
        "seeds:60",
    ),
    Mutation(
        12, "do not compare a snapshot with what execution gives", "statevec/audit/verify_snapshots.py",
        "        if differs.any():", "        if False:",
        f"{FLIPS}::test_in_the_state_of_who_takes_a_snapshot",
    ),
    Mutation(
        19, "believe a cursor whose checksum is another", "statevec/roles/cursor.py",
        "    if record != CursorRecord.of(cursor):", "    if False:",
        f"{FLIPS}::test_in_a_cursor",
    ),
    Mutation(
        19, "pass over an entry whose parts do not add up", "statevec/roles/output_reader.py",
        "        if check_frame(target.slice(0, length), reader.load_i64(READER_ENTRY_POSITION)) != VALID:",
        "        if False:",
        f"{FLIPS}::test_in_the_log_in_shared_memory",
    ),
    Mutation(
        20, "lead with a clock that is behind", "statevec/roles/takeover.py",
        "    if -engine.clock_tolerance <= ahead_ns <= engine.downtime_tolerance:",
        "    if ahead_ns <= engine.downtime_tolerance:",
        "tests/roles/test_takeover.py::test_a_clock_outside_does_not_lead",
    ),
    Mutation(
        20, "let time go back with the clock", "statevec/engine/append.py",
        "    return now if now > last else last", "    return now",
        f"{TIME}::test_time_does_not_go_back_when_the_clock_does[plain]",
    ),
    Mutation(
        20, "give a duplicate a later time than what follows it", "statevec/engine/rings.py",
        "    close_entry(loop, tx, log, entry, now_ns)  # the batch",
        "    close_entry(loop, tx, log, entry, read_clock(loop))  # the batch",
        SIMULATION,
    ),
    Mutation(
        21, "fire a timer in the turn that set it", "statevec/engine/loop.py",
        "        if arena.load_i64(row + ROW_LAST_CHANGED) <= last_sequence:",
        "        if arena.load_i64(row + ROW_LAST_CHANGED) > 0:",
        "tests/engine/test_loop_bounds.py::test_a_timer_set_into_the_past_fires_in_the_next_turn_and_no_sooner[plain]",
    ),
    Mutation(
        21, "let a rollback bring a fired timer back", "statevec/engine/execute.py",
        "        if row != 0:\n            delete_row(tx, TIMERS, row)\n    savepoint(tx)",
        "        savepoint(tx)\n        if row != 0:\n            delete_row(tx, TIMERS, row)\n"
        "    else:\n        savepoint(tx)",
        f"{LOOP}::test_a_fired_timer_is_an_entry_and_fires_once_even_when_its_handler_faults[plain]",
    ),
    Mutation(
        22, "fire a timer that was cancelled", "statevec/engine/engine_state.py",
        "        return False\n    delete_row(tx, TIMERS, row)\n", "        return False\n",
        f"{TIME}::test_a_timer_that_is_set_again_moves_and_a_cancelled_one_does_not_fire[plain]",
    ),
    Mutation(
        22, "keep a timer where it was when it is set again", "statevec/engine/engine_state.py",
        "        edit_row(tx, TIMERS, row)\n    set_indexed", "        return\n    set_indexed",
        f"{TIME}::test_a_timer_that_is_set_again_moves_and_a_cancelled_one_does_not_fire[plain]",
    ),
    Mutation(
        23, "hand out what has expired", "statevec/roles/gateway.py",
        "                if output.expires_ns and time.time_ns() > output.expires_ns:",
        "                if output.expires_ns and time.time_ns() < 0:",
        f"{RUNNING}::test_an_expired_output_is_told_and_not_handed_out",
    ),
    Mutation(
        23, "say nothing of a silent leader", "statevec/roles/gateway.py",
        "        if silent and not told and self._on_silence is not None:",
        "        if told and self._on_silence is None:",
        "tests/roles/test_gateway_silence.py",
    ),
]  # fmt: skip
