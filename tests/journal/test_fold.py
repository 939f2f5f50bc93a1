"""The hash is the published rapidhashMicro, in every form of the kernel."""

from __future__ import annotations

import struct

import pytest

from statevec.ipc.kernel import plain
from statevec.ipc.memory import MASK64, Region, signed64
from statevec.journal.fold import hash_bytes, mix

FORMS = [pytest.param(hash_bytes, id="compiled"), pytest.param(plain(hash_bytes), id="plain")]

# SMHasher3, hashes/rapidhash.cpp: verification_LE of rapidhash_micro (rapidhashMicro v3, 64-bit).
SMHASHER_VERIFICATION = 0x6F183D61

# rapidhash-constexpr (Nathan Cornaud, MIT), from the reference implementation: keys of 0xFF bytes, seed all ones.
ALL_ONES = {
    0: 11140877522690980840,
    1: 9251219562908335114,
    3: 9855541361249270571,
    4: 16053422642684411695,
    7: 6829848028857839105,
    8: 1674115573101822818,
    16: 6887163819122108532,
    17: 10560720991023676734,
    32: 7526751371883728689,
    33: 16786768215918839256,
    48: 9745953224250731655,
    49: 13168672448780669553,
    64: 4665151007981721119,
    65: 11902017547541073991,
    80: 13445179613622457919,
    81: 420530629328136403,
}


@pytest.mark.parametrize("form", FORMS)
def test_hash_has_smhashers_published_verification_value(form):
    """Keys 0, 1, 2 … of length n with seed 256 - n for n = 0 … 255, then the hash of the 256 hashes."""
    keys = Region.allocate(256)
    keys.view[:] = bytes(range(256))
    hashes = Region.allocate(2048)
    for length in range(256):
        hashes.view[8 * length : 8 * length + 8] = struct.pack("<q", form(keys, 0, length, 256 - length))
    assert form(hashes, 0, 2048, 0) & 0xFFFFFFFF == SMHASHER_VERIFICATION


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("length", "expected"), ALL_ONES.items())
def test_hash_has_the_reference_value_at_each_branch(form, length, expected):
    key = Region.allocate(128)
    key.view[:] = b"\xff" * 128
    assert form(key, 5, length, signed64(MASK64)) & MASK64 == expected


def test_mix_depends_on_both_values_and_on_their_order():
    values = [0, 1, -1, 1 << 62, -(1 << 63), 0x5DA7AB1E]
    mixed = {mix(a, b) for a in values for b in values}
    assert len(mixed) == len(values) ** 2
    assert all(plain(mix)(a, b) == mix(a, b) for a in values for b in values)
