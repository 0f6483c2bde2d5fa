"""Customer data: can it be asked for what is needed, and within what a process can bear?"""

from __future__ import annotations

from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Path, Problem, Severity
from commlayer.config.profiles import Profiles, ProfileSource, Segment
from connectors.profiles.settings import REQUESTS_PER_S, TRAITS_MAX
from streams.policy.config import EnrichmentMode

HANGING_MAX = 500
"""Requests to Segment that may hang at once. Each holds one of the 1,000 records that policy decides at a time (a test
compares); the other half is for everybody whose data is not asked for."""


SESSION_SHARE = 1 / 3
"""Part of the session timeout that lookups may hold up a rebalance, which waits for what is being decided; the rest is
for the acknowledgements that follow."""


def profiles(draft: Draft) -> Iterator[Problem]:
    """The source and its settings, and what categories ask of it."""
    section = draft.profiles
    if section is None:
        return
    path: Path = ("profiles", "segment")
    wanted = section.source in (ProfileSource.SEGMENT, ProfileSource.BOTH)
    if wanted and section.segment is None:
        yield Problem(path, f"source `{section.source}` needs it.", "add `segment:` with space and token.")
    if section.segment is not None:
        if not wanted:
            what = f"source `{section.source}` does not ask Segment."
            yield Problem(path, what, "write `source: segment` or `both`.", severity=Severity.WARNING)
        yield from _segment(path, section.segment)
        if draft.kafka is not None:
            yield from _rebalance(path, section.segment, draft.kafka.session_timeout_s * SESSION_SHARE)
    yield from _categories(draft, section, wanted)


def _segment(path: Path, segment: Segment) -> Iterator[Problem]:
    traits = segment.trait_names().wanted
    if not traits:
        yield Problem(path, "no trait is asked for.", "name traits under `traits:` or `variables:`.")
    if len(traits) > TRAITS_MAX:
        what = f"{len(traits)} traits; Segment answers with at most {TRAITS_MAX}."
        yield Problem((*path, "variables"), what, "keep those that templates use.")
    hanging = segment.requests_per_s * segment.timeout_s
    if hanging > HANGING_MAX:
        what = f"{hanging:g} requests could hang at once, more than the {HANGING_MAX} that a process can bear."
        fix = f"write {HANGING_MAX / segment.requests_per_s:g} or less, or fewer requests_per_s."
        yield Problem((*path, "timeout_s"), what, fix)
    if segment.requests_per_s > REQUESTS_PER_S:
        what = f"more than the {REQUESTS_PER_S:g} that Segment grants a space by default."
        fix = "keep it only if your contract grants more."
        yield Problem((*path, "requests_per_s"), what, fix, severity=Severity.WARNING)


def _rebalance(path: Path, segment: Segment, longest_s: float) -> Iterator[Problem]:
    ways = len(segment.identifiers())
    if ways * segment.timeout_s > longest_s:
        what = f"one message could wait {ways * segment.timeout_s:g} s, and a rebalance with it."
        yield Problem(
            (*path, "timeout_s"),
            what,
            f"write {longest_s / ways:g} or less, or lengthen kafka.session_timeout_s.",
        )


def _categories(draft: Draft, section: Profiles, wanted: bool) -> Iterator[Problem]:
    for name, category in draft.categories.items():
        path: Path = ("categories", name, "enrichment")
        if category.enrichment in (EnrichmentMode.REQUIRED, EnrichmentMode.OPTIONAL) and not wanted:
            severity = Severity.ERROR if category.enrichment is EnrichmentMode.REQUIRED else Severity.WARNING
            what = f"nobody is asked: profiles.source is `{section.source}`."
            fix = "write `source: segment` or `both` under `profiles:`, or remove it."
            yield Problem(path, what, fix, severity=severity)
        if category.enrichment is EnrichmentMode.REQUIRED and section.segment is not None:
            least = 2 * section.segment.timeout_s
            if category.deadline_s <= least:
                what = f"deadline_s ({category.deadline_s:g}) leaves no time to ask twice ({least:g} s)."
                yield Problem(path, what, "lengthen the deadline, or write `optional`.", severity=Severity.WARNING)
