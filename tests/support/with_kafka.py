"""Runs a command with a Kafka of its own beside it:

    python -m tests.support.with_kafka commlayer demo --bootstrap {bootstrap}

`{bootstrap}` in an argument becomes the broker's address. A broker given by COMMLAYER_TEST_BOOTSTRAP is used as it is.
"""

from __future__ import annotations

import subprocess
import sys

from tests.support.brokers import given_bootstrap, start_own_broker


def main(arguments: list[str]) -> int:
    given = given_bootstrap()
    if given:
        return _run(arguments, given)
    broker = start_own_broker()
    try:
        return _run(arguments, broker.bootstrap)
    finally:
        broker.close()


def _run(arguments: list[str], bootstrap: str) -> int:
    return subprocess.run([argument.format(bootstrap=bootstrap) for argument in arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
