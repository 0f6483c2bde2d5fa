"""The sections about templates: own ones, whose texts stand here, and Content templates that lie at Twilio.

The texts stand in the configuration itself, so that its version names them too, one check covers everything, and a
process cannot run with texts and grants of two different days.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.limits import BODY_MAX
from streams.policy.templates import model
from streams.policy.templates.model import Charset, Kind

from .fields import Flag, PositiveInt, Section, Text, twilio_sid


class Variable(Section):
    """One variable of a template."""

    kind: Kind = Field(default=Kind.TEXT, description="What it may hold.")
    max_length: Annotated[int, Field(strict=True, ge=1, le=BODY_MAX)] = Field(
        description="Longest value: septets for GSM-7 (`€` is two), else UTF-16 units (an emoji is two and more)."
    )
    charset: Charset = Field(default=Charset.ANY, description="Characters of a text: GSM-7 only, or any.")
    default: Text | None = Field(
        default=None, description='Value where request and profile have none; "" lets it be left out.'
    )

    def as_policy(self) -> model.Variable:
        """The same for policy."""
        return model.Variable(kind=self.kind, max_length=self.max_length, charset=self.charset, default=self.default)


class Version(Section):
    """One version of a template."""

    variables: dict[str, Variable] = Field(default={}, description="Declared variables by name.")
    texts: dict[str, str] = Field(min_length=1, description="Texts by locale (`en`, `pt-BR`).")


class Template(Section):
    """A text of our own, rendered by policy."""

    current: Text = Field(description="Version used where the request names none.")
    default_locale: str = Field(description="Locale of the text for everybody whose language has none.")
    versions: dict[str, Version] = Field(min_length=1, description="Versions by name, such as `1`.")
    max_segments: PositiveInt = Field(default=1, description="Most SMS segments it may make, with the longest values.")
    categories: tuple[str, ...] | None = Field(default=None, description="Categories it is for; all when absent.")
    unsubscribe: Flag | None = Field(
        default=None, description="Ends with the line of `unsubscribe_lines`; as its category says when absent."
    )
    shorten_urls: Flag | None = Field(default=None, description="Twilio ShortenUrls; as its category says when absent.")

    def as_policy(self, name: str) -> model.Template:
        """The same for policy."""
        return model.Template(
            name=name,
            current=self.current,
            versions={
                number: model.Version(
                    variables={key: variable.as_policy() for key, variable in version.variables.items()},
                    texts=version.texts,
                )
                for number, version in self.versions.items()
            },
            default_locale=self.default_locale,
            categories=None if self.categories is None else frozenset(self.categories),
            max_segments=self.max_segments,
            unsubscribe=self.unsubscribe,
            shorten_urls=self.shorten_urls,
        )


class ContentTemplate(Section):
    """A Content template at Twilio: what is known of it here."""

    sid: Annotated[str, twilio_sid("HX", "a Content template")] = Field(
        description="HX followed by 32 hexadecimal digits."
    )
    variables: dict[str, Variable] = Field(default={}, description="Its placeholders (`1`, `2`) by name.")
    approved: Flag = Field(default=True, description="WhatsApp approved it: it may open a conversation.")

    def as_policy(self, name: str) -> model.ContentTemplate:
        """The same for policy."""
        return model.ContentTemplate(
            name=name,
            sid=self.sid,
            variables={key: variable.as_policy() for key, variable in self.variables.items()},
            approved=self.approved,
        )
