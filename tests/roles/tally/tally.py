"""Adds amounts to accounts and announces totals as often as it is asked to: the plugin of the process tests."""

from statevec import Key, Plugin, i64, u32

tally = Plugin("tally", version="1.0.0", schema="tally.xml")

NEGATIVE = tally.rejection(1, "an amount is not negative")


@tally.record(capacity=1_024)
class Account:
    account: Key[u32]
    total: i64


@tally.on("Add")
def on_add(tx, message):
    if message.amount < 0:
        tx.reject(NEGATIVE)
        return
    if message.account not in tx.accounts:
        tx.accounts.insert(message.account)
    account = tx.accounts.edit(message.account)
    account.total = account.total + message.amount
    for number in range(message.announce):
        expires_ns = 0
        if message.ttl_ns != 0:
            expires_ns = tx.now_ns + message.ttl_ns
        announced = tx.emit.total(expires_ns=expires_ns)
        announced.account = message.account
        announced.number = number
        announced.total = account.total
    if message.announce > 1:
        note = tx.emit.note()
        note.account = message.account
