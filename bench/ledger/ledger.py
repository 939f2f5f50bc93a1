"""Accounts with a balance: a plugin small enough that its tables decide what a transaction costs."""

from statevec import Key, Plugin, i64

ledger = Plugin("ledger", version="1.0.0", schema="ledger.xml")


@ledger.record(capacity=1_000)
class Account:
    account: Key[i64]
    balance: i64
    postings: i64


@ledger.on("Post")
def on_post(tx, message):
    if message.account not in tx.accounts:
        tx.accounts.insert(message.account)
    account = tx.accounts.edit(message.account)
    account.balance += message.amount
    account.postings += 1
