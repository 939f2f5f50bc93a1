"""Where a shadow's entries come from: files, the live log, and files again when the log has moved on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from statevec.engine.plugin.loader import load_plugin
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, create_log
from statevec.ipc.python_call import store_release
from statevec.ipc.segment import Segment
from statevec.roles.shadow import Shadow
from tests.shadow.versions import RecordedDesk, desk_version

CAPACITY = 4 << 20


class LiveDesk(RecordedDesk):
    """A recorded desk whose entries also lie in a log in shared memory, as a leader would put them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.log: Segment = create_log(self.instance.instance_id, CAPACITY, released_by="journaler")
        self._put = 0

    def publish(self, written: int | None = None) -> None:
        """Put what is new into log and files, and say that all is appended, and written up to `written`."""
        self.write()
        content, region = bytes(self.content), self.log.region
        for start in range(self._put, len(content), 8):  # positions are multiples of 8: no word wraps
            offset = log_layout.DATA + start % CAPACITY
            region.view[offset : offset + 8] = content[start : start + 8]
        self._put = len(content)
        # SYNC POINT: pairs with the shadow's loads of both positions.
        store_release(region, log_layout.WRITTEN, len(content) if written is None else written)
        store_release(region, log_layout.APPENDED, len(content))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveDesk]:
    made = LiveDesk(tmp_path / "instance")
    yield made
    made.log.unlink()
    made.log.close()


def test_a_shadow_goes_from_the_files_to_the_log_and_back_when_it_is_lapped(live: LiveDesk, tmp_path: Path) -> None:
    live.random_quotes(100, seed=31)
    live.publish(written=live.positions[50])
    running = Shadow(live.instance, load_plugin(desk_version(tmp_path)), tier="interpreted")
    lapped = []

    def step() -> bool:
        if running.execution.sequence == live.execution.sequence and not lapped:
            lapped.append(running.execution.sequence)
            message = live.plugin.schema.encode("Quote", {"instrument": 1, "price": 100, "quantity": 0})
            while len(live.content) < 2 * CAPACITY:
                live.append(1, message + b"\0" * 8_000, source=1)
            live.publish()
        return running.execution.sequence == live.execution.sequence

    try:
        found = running.run(step)
        assert running.times_lapped == 1
    finally:
        running.close()
    assert len(lapped) == 1
    assert found.compared == found.same == live.execution.sequence > lapped[0]


def test_nonsense_in_the_log_stops_the_shadow(live: LiveDesk, tmp_path: Path) -> None:
    live.random_quotes(20, seed=32)
    live.publish(written=live.positions[5])
    live.log.region.view[log_layout.DATA + live.positions[10] + 30] ^= 0xFF
    running = Shadow(live.instance, load_plugin(desk_version(tmp_path)), tier="interpreted")
    with pytest.raises(LogError, match="no entry that follows stands where one must"):
        running.run(lambda: False, until_caught_up=True)
    running.close()
