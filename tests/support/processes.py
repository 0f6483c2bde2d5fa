"""Child processes of a test session: started, signalled and ended by their own pid, and gone when the session is."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals

from tests.support.waiting import wait_until

_WRAPPER = Path(__file__).with_name("die_with_parent.py")

_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
"""Starts all children: the kernel ties a child to the *thread* that started it, and this one lives as long as we do."""

_PORTS = range(20_000, 32_000)
"""Below the ephemeral ports (32768 and up on Linux): there a client that retries while a broker is down may be given
the broker's own port as its source port, and keep it from coming back."""


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in ports:
                ports.append(port)
    return ports


class Child:
    """One running program whose output goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        wrapped = [sys.executable, "-S", "-E", str(_WRAPPER), str(os.getpid()), *command]

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    wrapped,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=dict(env) if env is not None else None,
                    start_new_session=True,  # a Ctrl-C for pytest is not one for the broker
                )

        self._process = _launcher.submit(start).result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def signal(self, number: Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stand_still(self) -> None:
        """SIGSTOP, and wait until every thread stands (Linux only): on a busy machine some go on for a while."""
        self.signal(Signals.SIGSTOP)
        wait_until(self._stands_still, "all threads to stand still", within_s=10.0, every_s=0.002)

    def _stands_still(self) -> bool:
        with contextlib.suppress(OSError):
            stats = [task.read_text() for task in Path(f"/proc/{self.pid}/task").glob("*/stat")]
            return all(stat.rsplit(")", 1)[1].split()[0] not in "RSD" for stat in stats)
        return False  # a thread ended meanwhile: look again

    def catches(self, number: Signals) -> bool:
        """It has set up a handler for this signal. Until then the signal ends it (Linux only)."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
            return bool(int(caught, 16) >> (number - 1) & 1)
        return False

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and SIGKILL if that is not enough. Returns the exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL. Returns the exit code."""
        self.signal(signal.SIGKILL)
        return self._process.wait(30)

    def wait(self, timeout_s: float) -> int:
        """The exit code, once it has ended by itself."""
        return self._process.wait(timeout_s)

    def output(self, last_chars: int = 4000) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-last_chars:] if self.log.exists() else ""
