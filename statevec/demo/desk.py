"""`python -m statevec.demo.desk`: sends risk settings, hedge intents and the trend, by the script (`script.py`).

What is due before the first tick is in the log before this process says that it is ready, so that no quote meets an
engine without risk settings.
"""

from __future__ import annotations

from statevec.demo.pace import wait_until
from statevec.demo.participant import Sender, Setup, hedge_schema, participant
from statevec.demo.results import report_progress, write_result
from statevec.demo.script import BEFORE_FIRST_TICK, RiskSettings, make_script
from statevec.roles.producer import Producer

AFTER_LAST_TICK_NS = 100_000_000
"""How long after the last tick the market is left by itself, before the actions that close the day."""


@participant
def desk(setup: Setup) -> None:
    """Send the desk's messages into a ring."""
    schema = hedge_schema()
    script = make_script(setup.instrument, setup.ticks, RiskSettings(), setup.seed)
    with Producer(setup.instance, setup.ring) as producer:
        sender = Sender(producer, setup.ring)
        before = [action for action in script if action.tick == BEFORE_FIRST_TICK]
        for action in before:
            sender.send(schema.encode(action.message, action.fields))
        sender.wait_released()
        pace = setup.wait_for_start()
        planned_ns = [*pace.planned_ns, pace.end_ns + AFTER_LAST_TICK_NS]
        for action in script[len(before) :]:
            wait_until(planned_ns[action.tick])
            sender.send(schema.encode(action.message, action.fields))
            report_progress(sent=sender.last - sender.first + 1)
        sender.wait_released()
        write_result(setup.result, sender.result("desk"))


if __name__ == "__main__":
    desk()
