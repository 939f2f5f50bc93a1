"""Moves amounts in and out of accounts and gives receipts: the plugin of the audit tests."""

from statevec import Key, Plugin, i64, u32

ledger = Plugin("ledger", version="1.0.0", schema="ledger.xml")
Direction = ledger.schema.enum("Direction")

NOT_ENOUGH = ledger.rejection(1, "the account does not hold that much")


@ledger.record(capacity=64)
class Account:
    account: Key[u32]
    direction: Direction
    balance: i64


@ledger.on("Transfer")
def on_transfer(tx, message):
    if message.account not in tx.accounts:
        tx.accounts.insert(message.account)
    account = tx.accounts.edit(message.account)
    if message.direction == Direction.OUT:
        if account.balance < message.amount:
            tx.reject(NOT_ENOUGH)
        account.balance = account.balance - message.amount
    else:
        account.balance = account.balance + message.amount
    account.direction = message.direction
    receipt = tx.emit.receipt()
    receipt.account = account.account
    receipt.balance = account.balance
    tx.set_timer(message.account, tx.now_ns + 1_000)


@ledger.on_timer
def on_timer(tx, timer_id):
    account = tx.accounts.edit(timer_id)
    account.balance = account.balance - 1
