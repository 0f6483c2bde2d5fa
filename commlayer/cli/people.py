"""What commands say of persons and messages: numbers, their country, message ids."""

from __future__ import annotations

import uuid
from typing import Any

import click

from .failures import Misconfigured


class Region(click.ParamType):
    """An ISO 3166 alpha-2 country that has telephones."""

    name = "country"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The two letters, or a usage error."""
        import phonenumbers

        country = str(value).upper()
        if country not in phonenumbers.SUPPORTED_REGIONS:
            self.fail(f"`{value}` is no ISO 3166 alpha-2 country, such as US or DE", param, ctx)
        return country


class MessageId(click.ParamType):
    """A message id, as `commlayer publish` prints it."""

    name = "message id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id as it is written everywhere, or a usage error."""
        try:
            return str(uuid.UUID(value))
        except ValueError:
            self.fail(f"`{value}` is no message id; `commlayer publish` prints them: 0b7c2f4e-1d52-5c8e-…", param, ctx)


region_option = click.option(
    "--region", "default_region", type=Region(), help="Country of numbers written nationally, such as US."
)


def in_options(fix: str) -> str:
    """A fix of the client's in the words of a command line, as a sentence."""
    words = fix.replace("name the default_region of the publisher", "name its country by --region")
    return words if words.endswith((".", "?", "!")) else f"{words}."


def number(to: str, default_region: str | None) -> str:
    """The number in E.164.

    Raises:
        Misconfigured: it is none.
    """
    from commlayer_client import InvalidRecipient, normalise

    try:
        return normalise(to, default_region)
    except InvalidRecipient as error:
        raise Misconfigured(f"--{error.detail}", in_options(error.fix)) from error
