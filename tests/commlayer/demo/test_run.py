"""`commlayer demo` as people start it: in a terminal, and in a pipe with a world that does not do as planned."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
import yaml

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "commlayer", "demo", "--seconds", "5")
CLOSING = re.compile(r"demo: ([\d,]+) requested, ([\d,]+) delivered, ([\d,]+) failed as planned, 0 lost, 0 duplicated")
COLUMNS, LINES = 80, 60
WITHIN_S = 180.0  # alone 20 s

pytestmark = pytest.mark.timeout(300)


def closed(text: str) -> None:
    """The last line balances."""
    found = CLOSING.search(text)
    assert found, text[-3000:]
    requested, delivered, failed = (int(number.replace(",", "")) for number in found.groups())
    assert requested == delivered + failed
    assert delivered > 100
    assert failed > 10


@contextlib.contextmanager
def demo(folder: Path, output: int) -> Iterator[subprocess.Popen[bytes]]:
    """It runs with its files in this folder; gone with the block."""
    environment = {**os.environ, "TMPDIR": str(folder), "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def nobody_is_reached(folder: Path) -> bool:
    """Tell the twin, once it is there, that no message arrives."""
    for configuration in folder.glob("commlayer-demo-*/commlayer.yaml"):
        listen = (yaml.safe_load(configuration.read_text()) or {}).get("twin", {}).get("listen")
        body = json.dumps({"rules": [{"status": "undelivered", "error_code": 30003}]}).encode()
        request = urllib.request.Request(f"http://{listen}/__twin__/outcomes", body, method="PUT")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10):
            return True
    return False


def test_a_terminal_shows_lanes_latency_statuses_and_replies(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, LINES)
    terminal = pyte.ByteStream(screen)
    frames: list[str] = []
    with demo(tmp_path, its) as process:
        os.close(its)
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # its end is closed: it has ended
                break
            terminal.feed(piece)
            frames.append("\n".join(screen.display))
        os.close(ours)
        assert process.wait(WITHIN_S) == 0, frames[-1]
    closed(frames[-1])
    # Drawn in place: at every moment one title, and under it the whole picture.
    assert {len(re.findall(r"^commlayer demo ", frame, re.M)) for frame in frames if "traffic" in frame} == {1}
    busy = [frame for frame in frames if re.search(r"^commlayer demo +traffic", frame, re.M)]
    assert any(re.search(r"│ short-code +│ +[\d.]+ / 100 │", frame) for frame in busy)
    for panel in ("one-time passwords, request to Twilio", "statuses", "replies"):
        assert any(f"─ {panel}" in frame for frame in busy), panel
    assert any(re.search(r"\d+ sent +p50 \d+ ms +p99 \d+ ms", frame) for frame in busy)
    assert any("[stop]" in frame for frame in frames)


def test_a_pipe_gets_plain_lines_and_what_does_not_end_as_planned_fails(tmp_path: Path) -> None:
    file = tmp_path / "output"
    with file.open("wb") as output, demo(tmp_path, output.fileno()) as process:
        wait_until(lambda: nobody_is_reached(tmp_path), "the twin", within_s=WITHIN_S)
        assert process.wait(WITHIN_S) == 1, file.read_text()
    text = file.read_text()
    assert "\x1b" not in text
    assert re.search(r"^\[ +\d+ s\] traffic: requested login \d+", text, re.M), text
    *_, last = lines = text.splitlines()
    assert len(set(lines)) == len(lines), "nothing is said twice"
    assert re.search(r"^not as planned: \S+: undelivered, planned delivered$", text, re.M), lines[-30:]
    assert "0 lost, 0 duplicated" in last
