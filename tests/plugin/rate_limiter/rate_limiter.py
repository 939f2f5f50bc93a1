"""Token buckets: a client takes tokens from its bucket, which fills again at its own rate."""

# ruff: noqa: RET503 -- `return tx.reject(CODE)` is how a handler leaves early; what it returns is ignored

from statevec import Key, Plugin, i64, u32

limiter = Plugin("rate_limiter", version="1.0.0", schema="rate_limiter.xml")
UNKNOWN_CLIENT = limiter.rejection(1, "no rate is set for this client")
EMPTY = limiter.rejection(2, "not enough tokens")
BAD_NUMBER = limiter.rejection(3, "a number is not positive or too large")
SECOND = 1_000_000_000
LARGEST = 1_000_000


@limiter.record(capacity=1_000)
class Bucket:
    client: Key[u32]
    rate: i64  # tokens a second, which is parts a nanosecond: a token has SECOND parts
    burst: i64  # tokens
    parts: i64
    filled_at_ns: i64


@limiter.on("SetRate")
def on_set_rate(tx, message):
    if not (0 < message.tokens_per_second <= LARGEST and 0 < message.burst <= LARGEST):
        return tx.reject(BAD_NUMBER)
    if message.client in tx.buckets:
        bucket = refill(tx, message.client)
    else:
        bucket = tx.buckets.insert(message.client)
        bucket.filled_at_ns = tx.now_ns
        bucket.parts = message.burst * SECOND
    bucket.rate = message.tokens_per_second
    bucket.burst = message.burst
    bucket.parts = min(bucket.parts, message.burst * SECOND)


@limiter.on("Request")
def on_request(tx, message):
    if message.client not in tx.buckets:
        return tx.reject(UNKNOWN_CLIENT)
    if not 0 < message.tokens <= LARGEST:
        return tx.reject(BAD_NUMBER)
    bucket = refill(tx, message.client)
    if bucket.parts < message.tokens * SECOND:
        return tx.reject(EMPTY)
    bucket.parts -= message.tokens * SECOND
    grant = tx.emit.grant()
    grant.client = message.client
    grant.grant_id = tx.next_id()
    grant.tokens_left = bucket.parts // SECOND
    missing = bucket.burst * SECOND - bucket.parts
    tx.set_timer(message.client, tx.now_ns + (missing + bucket.rate - 1) // bucket.rate)


@limiter.on_timer
def on_refilled(tx, timer_id):
    refill(tx, timer_id)
    tx.emit.refilled().client = timer_id


def refill(tx, client):
    bucket = tx.buckets.edit(client)
    missing = bucket.burst * SECOND - bucket.parts
    elapsed = tx.now_ns - bucket.filled_at_ns
    if elapsed >= (missing + bucket.rate - 1) // bucket.rate:
        bucket.parts = bucket.burst * SECOND
    else:
        bucket.parts += elapsed * bucket.rate
    bucket.filled_at_ns = tx.now_ns
    return bucket


@limiter.invariant(Bucket)
def never_more_than_the_burst(tx, bucket):
    return 0 <= bucket.parts <= bucket.burst * SECOND
