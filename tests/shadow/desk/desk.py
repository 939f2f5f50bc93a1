"""Answers each quote with an order, after taking back the one before: the plugin of the shadow tests.

Candidates are this file with a few words replaced (`versions.py`).
"""

from statevec import Key, Plugin, i64, u32, u64

desk = Plugin("desk", version="1.0.0", schema="desk.xml")

EMPTY = desk.rejection(1, "the quote has no quantity")
TOO_DEAR = desk.rejection(2, "the price is above the limit")


@desk.record(capacity=64)
class Position:
    instrument: Key[u32]
    quotes: i64
    last_order: u64


@desk.on("Quote")
def on_quote(tx, message):
    if message.quantity <= 0:
        tx.reject(EMPTY)
        return
    if message.instrument not in tx.positions:
        tx.positions.insert(message.instrument)
    position = tx.positions.edit(message.instrument)
    if position.quotes > 0:
        cancel = tx.emit.cancel()
        cancel.order_id = position.last_order
    order = tx.emit.order()
    order.order_id = tx.next_id()
    order.instrument = message.instrument
    order.price = message.price
    order.quantity = message.quantity
    position.quotes = position.quotes + 1
    position.last_order = order.order_id
    tx.set_timer(message.instrument, tx.now_ns + 1_000)


@desk.on_timer
def on_timer(tx, timer_id):
    position = tx.positions.edit(timer_id)
    position.quotes = 0
