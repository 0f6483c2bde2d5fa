"""Fetches what the tests' Kafka and registry are made of, before any test's time limit runs:

    python -m tests.support.fetch

At once when everything is here; otherwise some hundred megabytes, once.
"""

from __future__ import annotations

import sys

from tests.support import brokers, registry
from tests.support.java import Unavailable


def main() -> int:
    try:
        note = brokers.prepare()
        if note is not None:
            print(note, file=sys.stderr)
        registry.prepare()
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
