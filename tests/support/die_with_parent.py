"""Run a program that the kernel ends as soon as its parent is gone: `die_with_parent.py <parent pid> <program> ...`.

A test session that is killed runs no finalizers; its brokers must not stay behind. Linux only (elsewhere the
finalizers have to do).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before we could ask
        sys.exit(1)
os.execvp(program[0], program)
