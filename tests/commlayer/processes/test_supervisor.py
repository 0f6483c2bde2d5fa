"""Children are kept running, stopped together, and never left behind."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from commlayer.processes.parentage import Orphaned, die_with_parent
from commlayer.processes.supervisor import Child, Supervisor
from tests.support.waiting import until

SERVE = "import signal as s, sys; s.signal(s.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); s.pause()"
DEAF = "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); [s.pause() for _ in 'x' * 9]"


class Run:
    """A supervisor at work, and the lines it wrote."""

    def __init__(self, *programs: str, grace_s: float = 14.5) -> None:
        self.lines: list[tuple[str, str]] = []
        children = [Child(f"child-{at}", [sys.executable, "-c", code]) for at, code in enumerate(programs)]
        self.supervisor = Supervisor(
            children, write=lambda name, line: self.lines.append((name, line)), grace_s=grace_s
        )
        self.done = asyncio.create_task(self.supervisor.run())

    def write(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    async def written(self, *lines: tuple[str, str], times: int = 1) -> None:
        await until(lambda: all(self.lines.count(line) >= times for line in lines), what=str(lines))


async def test_children_run_and_stop_together() -> None:
    run = Run(SERVE, SERVE)
    await run.written(("child-0", "up"), ("child-1", "up"))
    run.supervisor.stop()
    assert await run.done == 0


async def test_the_supervisor_passes_on_the_signal_it_gets() -> None:
    run = Run(SERVE)
    await run.written(("child-0", "up"))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await run.done == 0


async def test_a_child_that_breaks_is_started_again_and_the_others_go_on() -> None:
    run = Run("print('up', flush=True); raise SystemExit(1)", SERVE)
    await run.written(("child-0", "up"), times=2)
    assert run.lines.count(("child-1", "up")) == 1
    run.supervisor.stop()
    await run.done


async def test_a_child_with_a_wrong_configuration_stops_everything() -> None:
    run = Run("raise SystemExit(2)", SERVE)
    assert await run.done == 2


async def test_a_child_that_does_not_stop_is_killed() -> None:
    run = Run(DEAF, SERVE, grace_s=1.0)
    await run.written(("child-0", "up"), ("child-1", "up"))
    run.supervisor.stop()
    assert await run.done == 1


async def test_a_child_that_fails_while_stopping_shows_in_the_exit_code() -> None:
    run = Run("import signal, sys; signal.signal(15, lambda *_: sys.exit(1)); print('up', flush=True); signal.pause()")
    await run.written(("child-0", "up"))
    run.supervisor.stop()
    assert await run.done == 1


async def test_a_line_longer_than_can_be_shown_ends_nothing() -> None:
    run = Run(f"print('x' * 3_000_000, flush=True); print('after', flush=True)\n{SERVE}")
    await run.written(("child-0", "up"))
    assert ("child-0", "after") in run.lines or any("too long" in line for _, line in run.lines)
    run.supervisor.stop()
    assert await run.done == 0


SUPERVISE = """
import asyncio, sys
from commlayer.processes.supervisor import Child, Supervisor
code = '''
import json, os, signal
from commlayer.processes.parentage import die_with_parent
die_with_parent()
print(json.dumps({"pid": os.getpid()}), flush=True)
signal.pause()
'''
child = Child("child", [sys.executable, "-c", code])
asyncio.run(Supervisor([child], write=lambda name, line: print(line, flush=True)).run())
"""


async def test_a_child_does_not_outlive_a_supervisor_that_was_killed() -> None:
    root = Path(__file__).parents[3]
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", SUPERVISE, stdout=PIPE, cwd=root)
    assert supervisor.stdout is not None
    line = b""
    while not line.startswith(b'{"pid"'):  # its own log lines come on the same pipe
        line = await supervisor.stdout.readline()
        assert line, "the supervisor ended early"
    pid = json.loads(line)["pid"]
    assert alive(pid)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not alive(pid), what="the child ends")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_whose_parent_is_gone_does_not_start() -> None:
    with pytest.raises(Orphaned, match="that started this one is gone"):
        die_with_parent({"COMMLAYER_PARENT_PID": "1" if os.getppid() != 1 else "2"})
    ctypes.CDLL(None).prctl(1, 0)  # the kernel was asked to end this process with its parent: take that back


def test_a_process_that_nobody_supervises_is_left_alone() -> None:
    die_with_parent({})
