"""Types that several sections of the configuration share: names, references to secrets, URLs, countries."""

from __future__ import annotations

import re
from typing import Annotated, Any

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from streams.control.switches import LOWEST_RATE

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""Names of accounts, senders, groups, pools, categories and consumers: they appear in logs, metrics and URLs."""

_HOST_AND_PORT = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})"
)


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


class SecretRef(Section):
    """Where a secret stands: in an environment variable or in a file. Never the secret itself."""

    env: str | None = Field(default=None, min_length=1, description="Name of an environment variable.")
    file: str | None = Field(default=None, min_length=1, description="Path of a file; one final line break is dropped.")

    @model_validator(mode="before")
    @classmethod
    def _only_a_reference(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            fix = "write {env: NAME} or {file: PATH} and put the secret there; renew it if this file was shared."
            raise PydanticCustomError(
                "inline_secret", "a secret must not stand in the configuration file", {"fix": fix}
            )
        if len([key for key in ("env", "file") if value.get(key) is not None]) != 1:
            fix = "write exactly one of {env: NAME} and {file: PATH}."
            raise PydanticCustomError("secret_reference", "a secret is named in one way", {"fix": fix})
        return value

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env is not None else f"file {self.file}"


def _country(value: str) -> str:
    # phonenumbers knows every ISO 3166 alpha-2 code that has telephones.
    if value not in phonenumbers.SUPPORTED_REGIONS:
        better = value.upper() if value.upper() in phonenumbers.SUPPORTED_REGIONS else None
        better = {"UK": "GB", "EL": "GR"}.get(value.upper(), better)
        fix = f"write {better}." if better else "write the two letters of ISO 3166, for example US or DE."
        raise PydanticCustomError("country", "no ISO 3166 alpha-2 country: {value}", {"value": value, "fix": fix})
    return value


def _text(value: Any) -> Any:
    """A short code stands in YAML as a number; it is text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is no such pair.
    """
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"not a host and port: `{address}`")
    return match["host"].strip("[]"), int(match["port"])


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,7})([smhd])")


def duration_s(text: str) -> int:
    """Seconds of a duration such as `90s`, `15m`, `24h` or `7d`.

    Raises:
        ValueError: it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"no duration: {text!r}")
    return int(match[1]) * _SECONDS[match[2]]


def _duration(value: str) -> str:
    try:
        duration_s(value)
    except ValueError:
        fix = "write a whole number with s, m, h or d, for example 90s, 15m, 24h or 7d."
        raise PydanticCustomError("duration", "no duration: {value}", {"value": value, "fix": fix}) from None
    return value


FASTEST = 1_000_000.0
"""Segments per second: more than all of Twilio's senders together."""


def _pace(value: float) -> float:
    if not LOWEST_RATE <= value <= FASTEST:
        raise PydanticCustomError(
            "pace",
            "no rate of a sender: {value}",
            {
                "value": f"{value:g}",
                "fix": f"write {LOWEST_RATE:g} to {FASTEST:,.0f}; to stop it, pause it (`commlayer lanes pause`).",
            },
        )
    return value


def twilio_sid(prefix: str, of: str) -> AfterValidator:
    """Twilio's ids: two letters and 32 hexadecimal digits."""
    pattern = re.compile(prefix + r"[0-9a-fA-F]{32}")

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise PydanticCustomError(
                "sid",
                "no SID of {of}",
                {"of": of, "fix": f"write {prefix} followed by 32 hexadecimal digits, as Twilio's console shows it."},
            )
        return value

    return AfterValidator(check)


Country = Annotated[str, AfterValidator(_country)]
Duration = Annotated[str, AfterValidator(_duration)]
Text = Annotated[str, BeforeValidator(_text)]
PositiveInt = Annotated[int, Field(strict=True, ge=1)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Pace = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), AfterValidator(_pace)]
"""Segments per second. What a slower sender owes would not be read back after a restart (`LOOK_BACK_MAX_S`)."""
Partition = Annotated[int, Field(strict=True, ge=0)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Flag = Annotated[bool, Field(strict=True)]
