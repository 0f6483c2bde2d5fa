"""Writes the pages that repeat what the code says: docs/topics.md, docs/reasons.md, the table in docs/errors.md and the
reference in docs/configuration.md.

Run `python docs/generate.py` after a change of the topic catalogue, the reasons, the errors or the configuration; a
test compares.
"""

from __future__ import annotations

from pathlib import Path

from commlayer.config.reference import reference
from connectors.twilio.errors import ErrorClass, ErrorPolicy
from schemas.reasons import Reason
from schemas.topics import PartitionCounts, Topic, catalogue

DOCS = Path(__file__).parent
_HOUR_MS = 3_600_000


def topics_page() -> str:
    """The topic catalogue as a table, for an installation with one app called `shop`."""
    counts = PartitionCounts()
    lines = [
        "# Topics",
        "",
        "Written by `python docs/generate.py` from `schemas/topics.py`, for one app called `shop` and the default",
        "partition counts.",
        "Topics without a contract yet are created all the same, so that a later version finds them.",
        "",
        "| Topic | Key | Partitions | Contracts | Written by | Read by | Kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for topic in catalogue(["shop"]):
        cells = (
            f"`{topic.name}`",
            topic.key + (" (explicit partition)" if topic.explicit else ""),
            str(counts.of(topic.count)),
            ", ".join(record.__name__ for record in topic.records),
            ", ".join(topic.writers),
            ", ".join(topic.readers),
            _kept(topic),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """Every reason code with its explanation."""
    lines = [
        "# Reasons",
        "",
        "Written by `python docs/generate.py` from `schemas/reasons.py`. The code stands in `reason` of status",
        "updates, lifecycle records and dead letters; `detail` beside it names the field and the fix.",
        "",
        "| Code | Meaning |",
        "|---|---|",
    ]
    lines += [f"| `{reason.value}` | {reason.explanation} |" for reason in Reason]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """The hand-written part of the page as it stands, then every key."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    return page.partition(_REFERENCE)[0] + f"{_REFERENCE}\n\n{reference()}"


def errors_page() -> str:
    """The hand-written part of the page as it stands, then every code of the packaged table."""
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    policy = ErrorPolicy()
    lines = ["| Code | Twilio's title | Class | Retry | For the person | What to do |", "|---|---|---|---|---|---|"]
    for code in sorted(policy.codes()):
        error = policy.classify(code)
        scope = error.scope.value
        if error.subject.value != scope and scope == "throttled":
            scope += f", {error.subject.value}"
        elif error.blames_sender and scope != "sender":
            scope += ", counts against its sender"
        elif error.may_be_country:
            scope += ", perhaps for the country only"
        cells = (str(code), error.title, scope, error.retry.value, _person(error), error.action)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return page.partition(_REFERENCE)[0] + f"{_REFERENCE}\n\n" + "\n".join(lines) + "\n"


def _person(error: ErrorClass) -> str:
    if error.opt_out:
        return "opt-out"
    if error.suppress is None:
        return ""
    span = "" if error.suppress_for_s is None else f", {error.suppress_for_s // 60} min"
    return f"suppress {error.suppress.value}{span}"


PAGES = {
    "topics.md": topics_page,
    "reasons.md": reasons_page,
    "errors.md": errors_page,
    "configuration.md": configuration_page,
}
_REFERENCE = "<!-- From here on written by `python docs/generate.py`. -->"


def _kept(topic: Topic) -> str:
    if topic.retention_ms is None:
        lag = topic.min_compaction_lag_ms // _HOUR_MS
        return "compacted" + (f", not before {lag} h" if lag else "")
    days = topic.retention_ms // (24 * _HOUR_MS)
    return f"{days // 366} years" if days >= 366 else f"{days} days"


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
