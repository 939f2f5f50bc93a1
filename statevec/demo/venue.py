"""`python -m statevec.demo.venue`: a gateway that fills the engine's orders against the quotes and answers by a ring.

The venue is where the market is: it takes the quotes from its own copy of the tick file, each when it is due. The feed
tells the engine of the same quotes, a little later, as feeds do. Orders come from the released log through a `Gateway`;
the answers go out with the delays and the mischief of `acknowledgements.py`, and an output is acknowledged only after
the exchange has taken it.

It runs until SIGTERM, then takes what is still released, sends the answers that are pending, waits until they are in
the log, does so again until there is nothing more, and writes its result.
Killed, it leaves its durable cursor; a market that died with its memory cannot go on from there, so a demonstration
starts with a new instance.
"""

from __future__ import annotations

import time

import click

from statevec.demo.acknowledgements import Acknowledgements, Mischief
from statevec.demo.exchange import Exchange, OrderReport, Report, Side
from statevec.demo.logged import Message
from statevec.demo.pace import Pace
from statevec.demo.participant import Sender, Setup, hedge_schema, participant
from statevec.demo.results import VenueResult, report_progress, write_result
from statevec.roles.gateway import Gateway, Output
from statevec.roles.producer import Producer
from statevec.roles.stop_request import StopRequest

IDLE_SECONDS = 0.000_1
OUTPUTS_AT_ONCE = 64
PROGRESS_NS = 100_000_000
MILLISECOND_NS = 1_000_000
EVERYTHING_DUE_NS = 1 << 62


class Venue:
    """The exchange, between a gateway and a ring. `turn(now_ns)` does what there is to do."""

    def __init__(
        self, setup: Setup, gateway: Gateway, expired: list[Output], sender: Sender, mischief: Mischief
    ) -> None:
        """`expired` is where the gateway puts the outputs that came too late for it to hand out."""
        self.instrument = setup.instrument
        self.ticks = setup.ticks
        self.schema = hedge_schema()
        self.gateway = gateway
        self.expired = expired
        self.sender = sender
        self.exchange = Exchange(setup.instrument.quote_lots)
        self.answers = Acknowledgements(mischief, setup.seed)
        self.identities: list[tuple[int, int, int]] = []
        self.seen: set[tuple[int, int, int]] = set()
        self.duplicate_outputs = 0
        self.expired_orders = 0
        self.ticks_taken = 0

    def turn(self, now_ns: int, ticks_due: int, answers_due_ns: int) -> bool:
        """Take quotes up to `ticks_due` and outputs, send the answers due; False when there was nothing to do."""
        worked = False
        while self.ticks_taken < ticks_due:
            self._answer(self.exchange.take_quote(self.ticks[self.ticks_taken]), now_ns)
            self.ticks_taken += 1
            worked = True
        if self._take_outputs(now_ns):
            worked = True
        for report in self.answers.due(answers_due_ns):
            self.sender.send(self._encode(report))
            worked = True
        return worked

    def _take_outputs(self, now_ns: int) -> bool:
        """Take what is released, a bounded number at a time, and acknowledge it together."""
        output = None
        for _ in range(OUTPUTS_AT_ONCE):
            polled = self.gateway.poll()
            for late in self.expired:
                self._take_output(late, now_ns, late=True)
            self.expired.clear()
            if polled is None:
                break
            output = polled
            self._take_output(output, now_ns, late=False)
        if output is not None:
            self.gateway.acknowledge(output)
        return output is not None

    def _take_output(self, output: Output, now_ns: int, late: bool) -> None:
        self.identities.append(output.identity)
        if output.identity in self.seen:
            self.duplicate_outputs += 1
            return
        self.seen.add(output.identity)
        view = self.schema.decode(output.message)
        message = Message(view.layout.name, view.to_dict())
        if late:
            self.expired_orders += 1
            self._answer(self.exchange.refuse(message.fields["order_id"]), now_ns)
        else:
            self._answer(self._take_message(message), now_ns)

    def _take_message(self, message: Message) -> list[Report]:
        fields = message.fields
        if message.name == "CancelOrder":
            return self.exchange.cancel(fields["order_id"])
        return self.exchange.place(
            fields["order_id"],
            Side[fields["side"]],
            fields["price"],
            fields["quantity"],
            immediate=fields["time_in_force"] == "IMMEDIATE_OR_CANCEL",
        )

    def _answer(self, reports: list[Report], now_ns: int) -> None:
        for report in reports:
            self.answers.put(report, now_ns)

    def _encode(self, report: Report) -> bytes:
        if isinstance(report, OrderReport):
            return self.schema.encode(
                "OrderUpdate",
                {
                    "order_id": report.order_id,
                    "venue_sequence": report.sequence,
                    "filled_quantity": report.filled,
                    "last_price": report.price,
                    "status": report.status.name,
                },
            )
        return self.schema.encode(
            "PositionUpdate",
            {"venue_sequence": report.sequence, "quantity": report.quantity, "instrument": self.instrument.id},
        )

    def progress(self) -> dict[str, int]:
        """What the demonstration shows while it runs."""
        return {
            "ticks": self.ticks_taken,
            "outputs": len(self.identities),
            "orders": len(self.exchange.orders),
            "working": len(self.exchange.working),
            "fills": self.exchange.fills,
            "position": self.exchange.position,
            "pending": self.answers.pending,
            "sent": self.sender.last - self.sender.first + 1,
        }

    def result(self) -> VenueResult:
        exchange = self.exchange
        return VenueResult(
            answers=self.sender.result("venue"),
            identities=self.identities,
            expired=self.expired_orders,
            duplicate_outputs=self.duplicate_outputs,
            duplicate_orders=exchange.duplicate_orders,
            late_cancels=exchange.late_cancels,
            answers_dropped=self.answers.dropped,
            answers_doubled=self.answers.doubled,
            fills=exchange.fills,
            bought=exchange.bought,
            sold=exchange.sold,
            cash=exchange.cash,
            position=exchange.position,
            position_highest=exchange.position_highest,
            position_lowest=exchange.position_lowest,
        )


def run_venue(venue: Venue, pace: Pace, stop: StopRequest) -> None:
    """Turn until the signal, then until nothing is left to do."""
    shown_ns = 0
    while not stop.is_set():
        now_ns = time.monotonic_ns()
        worked = venue.turn(now_ns, pace.count_due(now_ns), now_ns)
        if now_ns - shown_ns > PROGRESS_NS:
            shown_ns = now_ns
            report_progress(**venue.progress())
        if not worked:
            time.sleep(IDLE_SECONDS)
    while venue.turn(time.monotonic_ns(), venue.ticks_taken, EVERYTHING_DUE_NS):
        venue.sender.wait_released()  # the engine may have decided something about the last answers


@participant
@click.option("--gateway", "gateway_name", default="venue", help="Gateway to take orders from.")
@click.option("--delay-ms", type=click.FloatRange(0), default=2.0, help="Longest delay of an answer.")
@click.option("--drop", type=click.FloatRange(0, 1), default=0.02, help="Chance that an answer is lost at first.")
@click.option("--double", type=click.FloatRange(0, 1), default=0.02, help="Chance that an answer comes twice.")
@click.option("--retry-ms", type=click.FloatRange(0), default=50.0, help="After that a lost answer is sent again.")
def venue(setup: Setup, gateway_name: str, delay_ms: float, drop: float, double: float, retry_ms: float) -> None:
    """Fill orders against the quotes of a tick file."""
    stop = StopRequest()
    mischief = Mischief(round(delay_ms * MILLISECOND_NS), drop, double, round(retry_ms * MILLISECOND_NS))
    expired: list[Output] = []
    with (
        Producer(setup.instance, setup.ring) as producer,
        Gateway(setup.instance, gateway_name, on_expired=expired.append) as gateway,
    ):
        made = Venue(setup, gateway, expired, Sender(producer, setup.ring), mischief)
        pace = setup.wait_for_start()
        run_venue(made, pace, stop)
        write_result(setup.result, made.result())


if __name__ == "__main__":
    venue()
