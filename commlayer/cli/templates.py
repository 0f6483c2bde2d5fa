"""`commlayer templates lint|list|show`: what the templates can cost, before anything is sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click

from commlayer.config import ConfigurationInvalid, Problem, Severity, load
from commlayer.config.conversions import policy_config
from commlayer.config.suggest import instead
from schemas.records import Encoding
from streams.policy.config import PolicyConfig
from streams.policy.templates import Template
from streams.policy.templates.lint import measure
from streams.policy.templates.locales import best

from .failures import EXIT_MISCONFIGURED, Misconfigured

_NAMES = {Encoding.GSM7: "GSM-7", Encoding.UCS2: "UCS-2"}
_SECTIONS = ("templates", "content_templates", "unsubscribe_lines")


@click.group("templates")
def command() -> None:
    """Check and show templates."""


@command.command("lint")
@click.pass_context
def lint(ctx: click.Context) -> None:
    """Check every template, with the longest values: for CI. Exit code 2 when one has an error."""
    path: Path = ctx.obj
    try:
        loaded = load(path)
    except ConfigurationInvalid as invalid:
        ours = [problem for problem in invalid.problems if _about_templates(problem)]
        if not any(problem.severity is Severity.ERROR for problem in ours):
            raise
        for problem in ours:
            click.echo(problem if problem.severity is Severity.WARNING else f"error: {problem}", err=True)
        ctx.exit(EXIT_MISCONFIGURED)
    for warning in filter(_about_templates, loaded.warnings):
        click.echo(str(warning), err=True)
    config = policy_config(loaded.config)
    for template in config.templates.values():
        for line in _costs(template, config):
            click.echo(line)
    _say_if_none(config)


@command.command("list")
@click.pass_obj
def list_(path: Path) -> None:
    """Name every template with its version, locales, segments and the apps that may use it."""
    config = policy_config(load(path).config)
    for template in config.templates.values():
        version = template.versions[template.current]
        most = max(measure(text, version.variables).most for text in version.texts.values())
        click.echo(f"{template.name}  version {template.current}  {', '.join(version.texts)}  at most {most} segments")
    for content in config.content_templates.values():
        click.echo(f"{content.name}  {content.sid}  {'approved' if content.approved else 'not approved'}")
    _say_if_none(config)


@command.command("show")
@click.argument("name")
@click.pass_obj
def show(path: Path, name: str) -> None:
    """Print one template: variables, texts, and what they can cost."""
    config = policy_config(load(path).config)
    template = config.templates.get(name)
    if template is None:
        raise Misconfigured(
            f"no template is called `{name}`",
            instead(name, config.templates, otherwise="none is configured; docs/templates.md tells how."),
        )
    for number, version in template.versions.items():
        click.echo(f"version {number}{' (current)' if number == template.current else ''}")
        for key, variable in version.variables.items():
            must = "required" if variable.default is None else f"default {variable.default!r}"
            click.echo(f"  {{{{ {key} }}}}  {variable.kind}, at most {variable.max_length}, {must}")
        for locale, text in version.texts.items():
            click.echo(f"  {locale}: {text}")
    for line in _costs(template, config):
        click.echo(line)


def _say_if_none(config: PolicyConfig) -> None:
    if not config.templates and not config.content_templates:
        click.echo("no template is configured; docs/templates.md tells how to write one.", err=True)


def _costs(template: Template, config: PolicyConfig) -> Iterator[str]:
    for number, version in template.versions.items():
        for locale, text in version.texts.items():
            lines = config.unsubscribe_lines if _may_end_with_line(template, config) else {}
            line = lines[best(lines, [locale, template.default_locale]) or next(iter(lines))] if lines else ""
            cost = measure(text, version.variables, line)
            yield (
                f"{template.name} {number} {locale}: {_NAMES[cost.encoding]}, "
                f"{cost.least} to {cost.most} segments (limit {template.max_segments})"
            )
            for each in cost.forcing:
                yield f"  {each}  U+{ord(each):04X} {unicodedata.name(each, 'no name')} makes it UCS-2"
            if cost.loose:
                yield f"  values of {', '.join(cost.loose)} may make it UCS-2"


def _may_end_with_line(template: Template, config: PolicyConfig) -> bool:
    if template.unsubscribe is not None:
        return template.unsubscribe
    return any(
        category.unsubscribe
        for category in config.categories.values()
        if template.categories is None or category.name in template.categories
    )


def _about_templates(problem: Problem) -> bool:
    return bool(problem.path) and problem.path[0] in _SECTIONS
