"""Aeron's C client between two processes: the client that is inside pyaeron, driven by `aeron_client.c`.

`python -m bench.peers.aeron ROLE CORE DIRECTORY LIBRARY COUNT` is the other process (ROLE publish or echo).
The media driver runs embedded in the measuring process, as pyaeron offers it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.peers.java import PeerMissingError

SOURCE = Path(__file__).parent / "aeron_client.c"
STREAM = 1001
STREAM_BACK = 1002


class AeronError(Exception):
    """The client answered with a negative code."""


def build(folder: Path) -> Path:
    """Compile `aeron_client.c`; the library."""
    if not shutil.which("gcc"):
        raise PeerMissingError("no gcc here")
    library = folder / "aeron_client.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True, timeout=60)
    return library


class Client:
    """One client process's side of Aeron."""

    def __init__(self, library: Path, directory: str) -> None:
        import pyaeron._pyaeron as inside

        ctypes.CDLL(inside.__file__, mode=ctypes.RTLD_GLOBAL)  # the C client's symbols, for our library
        self._library = ctypes.CDLL(str(library))
        for name in ("connect", "publication", "subscription"):
            getattr(self._library, f"aeron_peer_{name}").restype = ctypes.c_void_p
        for name in ("publish", "read", "ping", "echo", "close"):
            getattr(self._library, f"aeron_peer_{name}").restype = ctypes.c_int64
        self._client = ctypes.c_void_p(self._library.aeron_peer_connect(directory.encode()))
        if not self._client:
            raise AeronError("cannot connect to the media driver")

    def publication(self, stream: int) -> ctypes.c_void_p:
        return self._made(self._library.aeron_peer_publication(self._client, stream))

    def subscription(self, stream: int) -> ctypes.c_void_p:
        return self._made(self._library.aeron_peer_subscription(self._client, stream))

    @staticmethod
    def _made(address: int | None) -> ctypes.c_void_p:
        if not address:
            raise AeronError("cannot add a publication or subscription")
        return ctypes.c_void_p(address)

    def close(self) -> None:
        """Leave; a client whose driver went away ends its process."""
        self.call("close", self._client)

    def call(self, name: str, *arguments: object) -> int:
        """Run one of the loops; its answer."""
        answer = int(getattr(self._library, f"aeron_peer_{name}")(*arguments))
        if answer < 0:
            raise AeronError(f"{name} answered {answer}")
        return answer


@contextmanager
def other_process(role: str, core: int, directory: str, library: Path, count: int) -> Iterator[None]:
    """The other end, ended whatever happens."""
    arguments = [role, str(core), directory, str(library), str(count)]
    process = subprocess.Popen([sys.executable, "-m", "bench.peers.aeron", *arguments])
    try:
        yield
        if process.wait(60) != 0:
            raise AeronError(f"the other process failed: {role}")
    finally:
        process.kill()
        process.wait()


def throughput(library: Path, core: int, warm: int, count: int) -> float:
    """Messages a second from another process to this one."""
    import pyaeron

    with pyaeron.MediaDriver() as driver:
        client = Client(library, driver.dir)
        subscription = client.subscription(STREAM)
        with other_process("publish", core, driver.dir, library, warm + count):
            took_ns = client.call("read", subscription, ctypes.c_int64(warm), ctypes.c_int64(count))
        client.close()
    return count * 1e9 / took_ns


def round_trips(library: Path, core: int, warm: int, count: int) -> np.ndarray:
    """Nanoseconds of each of `count` round trips to another process."""
    import pyaeron

    samples = np.zeros(warm + count, np.int64)
    with pyaeron.MediaDriver() as driver:
        client = Client(library, driver.dir)
        subscription = client.subscription(STREAM_BACK)
        publication = client.publication(STREAM)
        with other_process("echo", core, driver.dir, library, warm + count):
            total = ctypes.c_int64(warm + count)
            client.call("ping", publication, subscription, total, ctypes.c_void_p(samples.ctypes.data))
        client.close()
    return samples[warm:]


def main() -> int:
    role, core, directory, library, count = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    client = Client(Path(library), directory)
    if role == "publish":
        client.call("publish", client.publication(STREAM), ctypes.c_int64(int(count)))
    else:
        subscription = client.subscription(STREAM)
        publication = client.publication(STREAM_BACK)
        client.call("echo", publication, subscription, ctypes.c_int64(int(count)))
    client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
