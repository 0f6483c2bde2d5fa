"""The demo's installation: one configuration in a folder of its own, free ports, secrets made up for this run."""

from __future__ import annotations

import secrets
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from commlayer.processes import Process
from commlayer.processes.supervisor import Child

from .embedded import PARTITIONS, SESSION_TIMEOUT_S
from .night import CLOSES, OPENS, PLACES
from .plan import LOGIN, MARKETING, MARKETING_A_DAY, NEWSLETTER, OTP, OUTLET, SENDERS, SHOP, Fate, Plan

_TOKEN_VARIABLE = "COMMLAYER_DEMO_TOKEN"  # noqa: S105  # the name of a variable
_PORTS = (*(process.value for process in Process), "twin")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything of one run is.

    Attributes:
        folder: configuration, data and logs.
        ports: by process, on 127.0.0.1.
    """

    folder: Path
    ports: dict[str, int]

    @classmethod
    def make(cls, folder: Path, bootstrap: str, traffic: Plan) -> Installation:
        """Write the configuration into the folder."""
        installation = cls(folder, _free_ports())
        configuration = installation._configuration(bootstrap, traffic)
        installation.configuration_file.write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
        return installation

    @property
    def configuration_file(self) -> Path:
        """What `commlayer --config` gets."""
        return self.folder / "commlayer.yaml"

    @property
    def twin_url(self) -> str:
        """Where the twin and its books are."""
        return f"http://127.0.0.1:{self.ports['twin']}"

    def ready_urls(self) -> dict[str, str]:
        """What to ask until everything is up, by process."""
        urls = {process.value: f"http://127.0.0.1:{self.ports[process]}/health/ready" for process in Process}
        return urls | {"twin": f"{self.twin_url}/__twin__"}

    def children(self) -> list[Child]:
        """The twin and every process of commlayer, each on its own."""
        base = [sys.executable, "-m", "commlayer", "--config", str(self.configuration_file)]
        environment = {_TOKEN_VARIABLE: secrets.token_hex(16), "COMMLAYER_LOG_FORMAT": "json"}
        return [
            Child("twin", [*base, "twin"], environment),
            *(Child(process.value, [*base, "run", process.value], environment) for process in Process),
        ]

    def _configuration(self, bootstrap: str, traffic: Plan) -> dict[str, Any]:
        bridge = f"127.0.0.1:{self.ports[Process.BRIDGE]}"
        kinds = {"short-code": "short_code", "toll-free": "toll_free", "long-code": "long_code"}
        return {
            "kafka": {
                "bootstrap": bootstrap.split(","),
                "partitions": dict.fromkeys(("recipient", "dispatch", "lifecycle", "dead", "control"), PARTITIONS),
                "replication": 1,
                "session_timeout_s": SESSION_TIMEOUT_S,
                "request_timeout_s": SESSION_TIMEOUT_S / 3,
            },
            "bridge": {"public_url": f"http://{bridge}", "listen": bridge},
            "accounts": {
                "main": {
                    "sid": "AC" + "d" * 32,
                    "auth_token": {"env": _TOKEN_VARIABLE},
                    "base_url": self.twin_url,
                }
            },
            "senders": {
                name: {
                    "account": "main",
                    "address": address,
                    "type": kinds[name],
                    "rate": rate,
                    "partition": partition,
                    "countries": ["US"],
                }
                for partition, (name, (address, rate)) in enumerate(SENDERS.items())
            },
            "pools": {LOGIN: ["short-code"], SHOP: list(SENDERS)},
            "categories": {
                OTP: {"class": "critical", "doubt": "resend", "intent": "otp", "deadline_s": 600},
                # The demo shows the same at every hour of the day.
                MARKETING: {"class": "bulk", "doubt": "stop", "intent": "marketing", "quiet_hours": "exempt"},
                # Too short to wait for the morning.
                NEWSLETTER: {
                    "class": "bulk",
                    "doubt": "stop",
                    "intent": "marketing",
                    "quiet_hours": "apply",
                    "deadline_s": 600,
                },
            },
            "caps": {"adverts": {"categories": [MARKETING], "per": "1d", "at_most": MARKETING_A_DAY, "over": "deny"}},
            "quiet_hours": {
                "countries": {
                    "CA": {"open": [{"from": "00:00", "until": "24:00"}]},
                    **{place.country: {"open": [{"from": OPENS, "until": CLOSES}]} for place in PLACES},
                },
            },
            "apps": {
                LOGIN: {"categories": [OTP], "pool": LOGIN},
                SHOP: {"categories": [MARKETING, NEWSLETTER], "pool": SHOP},
                OUTLET: {"categories": [MARKETING], "pool": SHOP, "enabled": False},
            },
            "countries": {"allow": ["US", "CA", *(place.country for place in PLACES)]},
            "health": {process.value: self.ports[process] for process in Process if process is not Process.BRIDGE},
            "twin": {
                "listen": f"127.0.0.1:{self.ports['twin']}",
                "outcomes": {
                    "rules": [
                        {
                            "to": traffic.recipients(Fate.UNDELIVERED),
                            "status": "undelivered",
                            "error_code": 30003,
                        },
                        {"to": traffic.recipients(Fate.REFUSED), "refuse": 21614},
                    ]
                },
            },
            "data_dir": str(self.folder / "data"),
        }


def _free_ports() -> dict[str, int]:
    with ExitStack() as held:
        ports = {}
        for name in _PORTS:
            place = held.enter_context(socket.socket())
            place.bind(("127.0.0.1", 0))
            ports[name] = place.getsockname()[1]
        return ports
