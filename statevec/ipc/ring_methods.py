"""Offering to a ring and polling from it as built-in methods of Python, and what is behind a claim.

An end of a ring has private memory (`Storage`) that these functions work on:

    0    address and size of the ring (records and trailer)
    16   address and size of the consumer's copy of the record it read last
    32   address of the exception's class | of the text for what cannot be | of the text for a wrong call
    56   a Py_buffer, while a message is borrowed
    136  1 while a claim is open | address of the text for an offer meanwhile
    192  the kernels' own private memory (`ring_kernels`)

While a claim is open nothing else is offered: a message gets its sequence when it is committed, and the engine drops
what comes after a higher one.

One thread at a time: they keep the GIL. A crash leaves what the kernels say.
"""

from __future__ import annotations

from statevec.ipc.memory import realtime_ns, region_address, region_at
from statevec.ipc.python_method import (
    FAILED,
    PY_BUFFER_LENGTH,
    PY_BUFFER_SIZE,
    PythonMethod,
    bytes_to_object,
    exception_is_set,
    get_buffer,
    int_to_object,
    none_object,
    object_to_int,
    release_buffer,
    set_exception,
    storage_address,
)
from statevec.ipc.ring_kernels import (
    CONSUMER_HEAD,
    CONSUMER_SIZE,
    EMPTY,
    PRODUCER_CAPACITY,
    PRODUCER_SIZE,
    TOO_LONG,
    abort,
    claim,
    commit,
    offer,
    poll,
)
from statevec.ipc.ring_layout import INGRESS_HEADER_SIZE, MAX_BODY_SHIFT

RING_ADDRESS = 0
RING_SIZE = 8
SCRATCH_ADDRESS = 16
SCRATCH_SIZE = 24
ERROR_CLASS = 32
ERROR_TEXT = 40
CALL_TEXT = 48
PY_BUFFER = 56
CLAIM_OPEN = 136
OPEN_TEXT = 144
SIDE = 192

assert PY_BUFFER + PY_BUFFER_SIZE <= CLAIM_OPEN and OPEN_TEXT + 8 <= SIDE


@PythonMethod
def offer_method(storage, arguments, count):  # type: ignore[no-untyped-def]  # compiled for three int64
    """`offer(message, sent_ns=0)`: the producer sequence, or BACK_PRESSURED; raises when the message is too long."""
    end = region_at(storage_address(storage), SIDE + PRODUCER_SIZE)
    if count < 1 or count > 2:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(CALL_TEXT), count, 2)
    given = region_at(arguments, 8 * count)
    sent_ns = 0
    if count == 2:
        sent_ns = object_to_int(given.load_i64(8))
        if sent_ns == -1 and exception_is_set() != 0:
            return FAILED
    if end.load_i64(CLAIM_OPEN) != 0:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(OPEN_TEXT), 1, 1)
    if sent_ns == 0:
        sent_ns = realtime_ns()
    borrowed = end.slice(PY_BUFFER, PY_BUFFER_SIZE)
    if get_buffer(given.load_i64(0), region_address(borrowed), 0) != 0:
        return FAILED
    length = borrowed.load_i64(PY_BUFFER_LENGTH)
    message = region_at(borrowed.load_i64(0), length)
    ring = region_at(end.load_i64(RING_ADDRESS), end.load_i64(RING_SIZE))
    result = offer(ring, end.slice(SIDE, PRODUCER_SIZE), message, sent_ns)
    release_buffer(region_address(borrowed))
    if result == TOO_LONG:
        longest = (end.load_i64(SIDE + PRODUCER_CAPACITY) >> MAX_BODY_SHIFT) - INGRESS_HEADER_SIZE
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(ERROR_TEXT), length, longest)
    return int_to_object(result)


@PythonMethod
def poll_method(storage, arguments, count):  # type: ignore[no-untyped-def]
    """`poll()`: the next message as bytes, or None; raises when the record's header cannot be."""
    end = region_at(storage_address(storage), SIDE + CONSUMER_SIZE)
    if count != 0:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(CALL_TEXT), count, 0)
    ring = region_at(end.load_i64(RING_ADDRESS), end.load_i64(RING_SIZE))
    scratch = region_at(end.load_i64(SCRATCH_ADDRESS), end.load_i64(SCRATCH_SIZE))
    length = poll(ring, end.slice(SIDE, CONSUMER_SIZE), scratch)
    if length == EMPTY:
        return none_object()
    if length < EMPTY:
        head = end.load_i64(SIDE + CONSUMER_HEAD)
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(ERROR_TEXT), head, length)
    return bytes_to_object(region_address(scratch) + INGRESS_HEADER_SIZE, length - INGRESS_HEADER_SIZE)


@PythonMethod
def claim_method(storage, arguments, count):  # type: ignore[no-untyped-def]
    """`claim(length)`: offset in the ring of the body that takes the message, or BACK_PRESSURED; raises as `offer`."""
    end = region_at(storage_address(storage), SIDE + PRODUCER_SIZE)
    if count != 1:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(CALL_TEXT), count, 1)
    length = object_to_int(region_at(arguments, 8).load_i64(0))
    if length == -1 and exception_is_set() != 0:
        return FAILED
    if end.load_i64(CLAIM_OPEN) != 0:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(OPEN_TEXT), 1, 1)
    ring = region_at(end.load_i64(RING_ADDRESS), end.load_i64(RING_SIZE))
    result = TOO_LONG if length < 0 else claim(ring, end.slice(SIDE, PRODUCER_SIZE), length + INGRESS_HEADER_SIZE)
    if result == TOO_LONG:
        longest = (end.load_i64(SIDE + PRODUCER_CAPACITY) >> MAX_BODY_SHIFT) - INGRESS_HEADER_SIZE
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(ERROR_TEXT), length, longest)
    end.store_i64(CLAIM_OPEN, 1 if result >= 0 else 0)
    return int_to_object(result)


@PythonMethod
def finish_method(storage, arguments, count):  # type: ignore[no-untyped-def]
    """`finish(body, sent_ns)` commits the claim, `finish(body)` aborts it: its sequence (aborted: 0) or NOT_CLAIMED."""
    end = region_at(storage_address(storage), SIDE + PRODUCER_SIZE)
    if count < 1 or count > 2:
        return set_exception(end.load_i64(ERROR_CLASS), end.load_i64(CALL_TEXT), count, 2)
    given = region_at(arguments, 8 * count)
    body = object_to_int(given.load_i64(0))
    sent_ns = 0
    if count == 2:
        sent_ns = object_to_int(given.load_i64(8))
    if exception_is_set() != 0:
        return FAILED
    end.store_i64(CLAIM_OPEN, 0)
    ring = region_at(end.load_i64(RING_ADDRESS), end.load_i64(RING_SIZE))
    if count == 1:
        return int_to_object(abort(ring, body))
    if sent_ns == 0:
        sent_ns = realtime_ns()
    return int_to_object(commit(ring, end.slice(SIDE, PRODUCER_SIZE), body, sent_ns))
