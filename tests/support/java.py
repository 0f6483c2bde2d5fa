"""Java, Maven and what they fetch: Kafka's jars and the Apicurio registry, once per user."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

POM = Path(__file__).with_name("jars") / "pom.xml"
MIN_JAVA = 17
REGISTRY_VERSION = "3.0.9"  # the last line that runs on Java 17
_REGISTRY_ARTIFACT = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"

_Got = TypeVar("_Got")

_FETCH_TIMEOUT_S = 900  # 54 MB for Kafka, about 200 MB for the registry, on a slow line


class Unavailable(Exception):
    """This way to a broker or registry does not exist on this machine; the text says what is missing."""


def first_available(otherwise: str, *ways: Callable[[], _Got]) -> _Got:
    """What the first of these ways gives that exists here.

    Raises:
        Unavailable: none does; `otherwise`, and what each way lacks.
    """
    reasons: list[str] = []
    for way in ways:
        try:
            return way()
        except Unavailable as error:
            reasons.append(str(error))
    raise Unavailable(f"{otherwise} ({'; '.join(reasons)})")


@functools.cache
def java() -> str:
    """Path of a Java that is new enough. Raises Unavailable."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    program = found or shutil.which("java")
    if program is None:
        raise Unavailable("no java found")
    shown = _shown_version(program)
    version = re.search(r'version "(\d+)', shown)
    if version is None or int(version[1]) < MIN_JAVA:
        raise Unavailable(f"java is older than {MIN_JAVA}: {shown.splitlines()[0] if shown else 'it says nothing'}")
    return program


def java_version() -> str:
    """What tells this Java from another. Raises Unavailable."""
    return _shown_version(java())


@functools.cache
def _shown_version(program: str) -> str:
    # Prints 'openjdk version "17.0.15"' and two more lines on stderr.
    return subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr


@functools.cache
def kafka_jars() -> Path:
    """Directory with everything on a broker's classpath, fetched by Maven the first time. Raises Unavailable."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]

    def fetch(into: Path) -> None:
        shutil.copy(POM, into / "pom.xml")
        _maven("-f", str(into / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={into}")

    return cached(f"kafka-{digest}", fetch)


@functools.cache
def registry_home() -> Path:
    """Directory with the unpacked registry, fetched by Maven the first time. Raises Unavailable."""

    def fetch(into: Path) -> None:
        _maven("dependency:get", f"-Dartifact={_REGISTRY_ARTIFACT}", "-Dtransitive=false")
        _maven("dependency:copy", f"-Dartifact={_REGISTRY_ARTIFACT}", f"-DoutputDirectory={into}")
        [archive] = into.glob("*.tar.gz")
        with tarfile.open(archive) as unpacked:
            unpacked.extractall(into, filter="data")
        archive.unlink()

    return cached(f"apicurio-registry-{REGISTRY_VERSION}", fetch)


def _maven(*arguments: str) -> None:
    program = shutil.which("mvn")
    if program is None:
        raise Unavailable("no mvn (Maven) found")
    done = subprocess.run(
        [program, "-q", "-B", "-DincludeScope=runtime", *arguments],
        capture_output=True,
        text=True,
        timeout=_FETCH_TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),  # dependency:get must not take a pom.xml of the current folder for its own
    )
    if done.returncode != 0:
        raise Unavailable(f"mvn {arguments[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def cached(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of that name in the user's cache; `fetch` fills one aside, which is then renamed, so that it is whole
    or absent."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "commlayer-tests"
    target = cache / name
    if target.is_dir():
        return target
    java()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{name}.lock"):  # several sessions may start at once
        if not target.is_dir():
            partial = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
            try:
                fetch(partial)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
