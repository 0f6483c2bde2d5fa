"""A child of `run all` does not outlive it, however it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

PARENT_VARIABLE = "COMMLAYER_PARENT_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Orphaned(Exception):
    """The parent died before this process could ask to be told."""


def is_supervised(environment: Mapping[str, str] = os.environ) -> bool:
    """`run all` started this process."""
    return PARENT_VARIABLE in environment


def die_with_parent(environment: Mapping[str, str] = os.environ) -> None:
    """Have the kernel send SIGTERM when the parent dies, if `run all` started this process. Linux only; elsewhere a
    killed supervisor leaves its children to be stopped by hand.

    Raises:
        Orphaned: the parent is gone already.
    """
    parent = environment.get(PARENT_VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        raise Orphaned(f"the process {parent} that started this one is gone")
