"""Settings of the twin: what carriers of the USA take of long codes (10DLC)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from .part import Part


class CarrierSettings(Part):
    """A carrier of the USA: whose number begins with one of the prefixes, or is named, is its customer."""

    name: str
    prefixes: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()


class CampaignSettings(Part):
    """A 10DLC campaign.

    Attributes:
        senders: addresses of its numbers.
        brand: whose it is; counts for that brand's days.
        rates: segments per second that a carrier takes of it, by name of the carrier; one that is not named takes all.
    """

    name: str
    senders: tuple[str, ...]
    brand: str | None = None
    rates: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)


class BrandSettings(Part):
    """A 10DLC brand, and how many segments a carrier takes of it a day (Pacific time)."""

    name: str
    per_day: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)


class TenDlcSettings(Part):
    """What carriers of the USA take of long codes.

    Attributes:
        tolerance_s: how unevenly messages may arrive at a carrier.
    """

    carriers: tuple[CarrierSettings, ...] = ()
    campaigns: tuple[CampaignSettings, ...] = ()
    brands: tuple[BrandSettings, ...] = ()
    tolerance_s: Annotated[float, Field(ge=0)] = 0.1

    @model_validator(mode="after")
    def _names_exist(self) -> TenDlcSettings:
        carriers, brands = {one.name for one in self.carriers}, {one.name for one in self.brands}
        owner: dict[str, str] = {}
        for at, campaign in enumerate(self.campaigns):
            if campaign.brand is not None and campaign.brand not in brands:
                raise ValueError(f"campaigns.{at}.brand: no brand {campaign.brand}")
            for sender in campaign.senders:
                if owner.setdefault(sender, campaign.name) != campaign.name:
                    raise ValueError(f"campaigns.{at}.senders: {sender} is in campaign {owner[sender]}")
        named: list[tuple[str, Iterable[str]]] = [
            (f"campaigns.{at}.rates", one.rates) for at, one in enumerate(self.campaigns)
        ]
        named += [(f"brands.{at}.per_day", one.per_day) for at, one in enumerate(self.brands)]
        for path, by_carrier in named:
            for carrier in by_carrier:
                if carrier not in carriers:
                    raise ValueError(f"{path}: no carrier {carrier}")
        return self
