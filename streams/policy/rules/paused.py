"""Has an operator paused the app?"""

from __future__ import annotations

from zlib import crc32

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Defer, Verdict

PART_OF_PAUSE = 4
"""A message looks again after a quarter of the time that the pause has lasted: after a resume it comes back within a
quarter of the pause, and a long pause costs few rounds."""
SHORTEST_WAIT_MS = 10_000
LONGEST_WAIT_MS = 600_000
"""A pause of three days costs some 400 rounds and not thousands."""


def check(case: Case) -> Verdict:
    """Defer while the app is paused, at most until the pause ends by itself; deadlines go on, and the rule 'deadline'
    denies what meets its own. Of an app that is switched off the rule 'app' denies everything.

    Stands behind 'quota': what waits here was let in, and must have been charged.
    """
    pause = case.facts.paused_apps.get(case.entry.app)
    if pause is None:
        return ALLOW
    wait_ms = min(max((case.now_ms - pause.at) // PART_OF_PAUSE, SHORTEST_WAIT_MS), LONGEST_WAIT_MS)
    # Up to half as long again, by message: what waits for the same operator must not come back together.
    moment = case.now_ms + wait_ms + wait_ms * (crc32(case.entry.message_id.encode()) % 1000) // 2000
    if pause.until is not None:
        moment = min(moment, pause.until)
    return Defer(
        min(max(moment, case.request.not_before or 0), case.deadline),
        Reason.APP_PAUSED,
        facts={"paused_at": str(pause.at)},
    )
