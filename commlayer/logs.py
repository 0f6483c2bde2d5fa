"""Logs of every process: structlog and the standard library through one formatter.

JSON lines, or readable lines on a terminal. Every value and message passes a safety net on its way out: phone numbers
are masked, fields that hold content or secrets are emptied, records and bytes are never printed, and the secrets that
this process has read are blotted out wherever they turn up. The code that logs must not rely on the net.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from connectors.masking import mask_number, mask_numbers
from schemas.records import Record

LEVEL_VARIABLE = "COMMLAYER_LOG_LEVEL"
FORMAT_VARIABLE = "COMMLAYER_LOG_FORMAT"
"""`json` or `text`; by default text on a terminal, else JSON."""

HIDDEN = "[hidden]"
_HIDDEN_KEYS = re.compile(
    r"(?:.*_)?(?:body|text|content|media_urls?|variables|content_variables|params|payload|value|"
    r"auth_token|token|password|passwd|secret|api_secret|authorization|signature|credentials?)"
)
"""Fields whose values are content or secrets, alone or behind a prefix (`request_body`, `sasl_password`)."""

_ENCODED_NUMBER = re.compile(r"%2[Bb](\d{7,15})")
"""A number inside a URL or a form."""
_SPACED_NUMBER = re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)")
"""A number as people write it: +1 (415) 555-0123."""

MIN_SECRET = 6
"""Secrets shorter than this are not searched for in log lines: blotting out `abc` would destroy the log."""

QUIET_LOGGERS = (
    "faust",
    "mode",
    "aiokafka",
    "kafka",
    "aiohttp",
    "asyncio",
    "urllib3",
    "httpx",
    "httpx2",
    "httpcore2",
    "twilio",
    "opentelemetry",
)
"""Libraries that tell their inner life at INFO. Ours say what matters; these speak from WARNING on."""
SILENT_LOGGERS = ("aiohttp.access", "twilio.async_http_client", "twilio.http_client")
"""They print URLs, headers or bodies."""


def configure(
    process: str,
    *,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
    secrets: Iterable[str] = (),
) -> None:
    """Set up logging for this process; calling it again replaces the former set-up.

    Args:
        process: which process speaks (`policy`, `bridge`); stands in every line.
        stream: where to; standard error when None.
        environment: for level and format.
        secrets: values that must never appear.

    Raises:
        ValueError: an unknown level or format; the message names the variable and the choices.
    """
    stream = sys.stderr if stream is None else stream
    level = _level(environment)
    text = readable(environment, stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    if level > logging.DEBUG:
        handler.addFilter(_no_service_chatter)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _named(process),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                SafetyNet(secrets),
                _console(stream) if text else _json,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in QUIET_LOGGERS:
        _tame(name, max(level, logging.WARNING))
    for name in SILENT_LOGGERS:
        _tame(name, logging.CRITICAL)


class SafetyNet:
    """The last processor before rendering: nothing leaves that must not."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        words = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The event with every value made safe."""
        return {str(key): self._kept(str(key), value) for key, value in event.items()}

    def _kept(self, key: str, value: object) -> object:
        if _HIDDEN_KEYS.fullmatch(key.lower()) and value is not None:
            return HIDDEN
        return self._safe(value)

    def _safe(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self._text(str(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, Record):
            return f"<{type(value).__name__}>"
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._kept(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._safe(item) for item in value]
        return self._text(str(value) if isinstance(value, BaseException) else repr(value))

    def _text(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        text = _ENCODED_NUMBER.sub(lambda match: mask_number("+" + match[1]), mask_numbers(text))
        return _SPACED_NUMBER.sub(lambda match: mask_number("+" + re.sub(r"\D", "", match[0])), text)


def _no_service_chatter(record: logging.LogRecord) -> bool:
    """mode tells of every part of a Faust app that it starts and stops, in the name of the module that made it."""
    return record.levelno >= logging.WARNING or not str(record.msg).startswith("[^")


def _level(environment: Mapping[str, str]) -> int:
    word = environment.get(LEVEL_VARIABLE, "info").upper()
    levels = {"DEBUG", "INFO", "WARNING", "ERROR"}
    if word not in levels:
        raise ValueError(f"{LEVEL_VARIABLE} is {word.lower()!r}; write one of: debug, info, warning, error")
    return int(getattr(logging, word))


def readable(environment: Mapping[str, str] = os.environ, stream: TextIO | None = None) -> bool:
    """Whether lines are text for people; else JSON.

    Raises:
        ValueError: an unknown format.
    """
    stream = sys.stderr if stream is None else stream
    word = environment.get(FORMAT_VARIABLE, "text" if stream.isatty() else "json").lower()
    if word not in ("text", "json"):
        raise ValueError(f"{FORMAT_VARIABLE} is {word!r}; write json or text")
    return word == "text"


def _named(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _console(stream: TextIO) -> Processor:
    # Plain tracebacks: the rich ones show local variables, and those hold bodies.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=40
    )


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("timestamp", "level", "process", "event") if key in event}
    return orjson.dumps({**first, **event}, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def _tame(name: str, level: int) -> None:
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.handlers = []
    logger.propagate = True
