"""`python -m statevec.demo.feed`: sends every quote of a tick file as MarketData, each when it is due.

The plan is an open loop: when the ring was full or the process late, what is overdue goes out at once, one after the
other. All messages are encoded before the start, so that sending is nothing but an offer.
"""

from __future__ import annotations

import time

from statevec.codecs.schema import Schema
from statevec.demo.instruments import Instrument
from statevec.demo.pace import wait_until
from statevec.demo.participant import Sender, Setup, hedge_schema, participant
from statevec.demo.results import report_progress, write_result
from statevec.demo.ticks import Ticks
from statevec.roles.producer import Producer

PROGRESS_NS = 100_000_000


def encode_ticks(schema: Schema, instrument: Instrument, ticks: Ticks) -> list[bytes]:
    """A MarketData message for each quote."""
    return [
        schema.encode(
            "MarketData",
            {
                "bid_price": tick.bid,
                "ask_price": tick.ask,
                "bid_size": instrument.quote_lots,
                "ask_size": instrument.quote_lots,
                "exchange_time_ns": tick.time_ns,
                "instrument": instrument.id,
            },
        )
        for tick in ticks
    ]


@participant
def feed(setup: Setup) -> None:
    """Send the quotes of a tick file into a ring."""
    messages = encode_ticks(hedge_schema(), setup.instrument, setup.ticks)
    with Producer(setup.instance, setup.ring) as producer:
        sender = Sender(producer, setup.ring)
        pace = setup.wait_for_start()
        shown_ns = 0
        for number, (message, planned_ns) in enumerate(zip(messages, pace.planned_ns, strict=True)):
            wait_until(planned_ns)
            sender.send(message)
            if time.monotonic_ns() - shown_ns > PROGRESS_NS:
                shown_ns = time.monotonic_ns()
                report_progress(sent=number + 1)
        sender.wait_released()
        report_progress(sent=len(messages))
        write_result(setup.result, sender.result("feed"))


if __name__ == "__main__":
    feed()
