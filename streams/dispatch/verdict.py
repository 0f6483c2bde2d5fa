"""What follows from Twilio's answer to a POST: pure, by the class of the error and never by HTTP status alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from connectors.masking import mask_numbers
from connectors.twilio.answers import Accepted, Answer, NotSent, Rejected
from connectors.twilio.errors import Retry, Scope, Subject, TwilioError
from schemas.reasons import Reason
from schemas.records import AttemptOutcome, Follows, MessageStatus

from .breaker import Backoff

RETRY_BACKOFF = Backoff(first_s=0.5, cap_s=30.0, jitter=0.2)
"""A message whose POST was certainly not processed."""
THROTTLED_BACKOFF = Backoff(first_s=0.1, cap_s=30.0, jitter=0.1)
"""After 20429; Twilio's own advice."""
QUEUE_FULL_AT_LEAST_S = 5.0
"""A sender's queue is ten hours deep; a few seconds make room for a few messages."""
LATER_AT_LEAST_S = 60.0
"""`later` in the error table means minutes to hours."""
ONCE = 2
"""`once` in the error table: the second attempt is the last."""


ROUNDS_MAX = 3
"""A message that meets a refused sender is given back to policy so often. After that it waits for its lane: policy has
no other sender, and would only send it round."""


class Paused(StrEnum):
    """What a pause holds."""

    LANE = "lane"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Pause:
    """Trouble that is not this message's.

    Attributes:
        what: lane or account of the message.
        why: for a person: code and text of the error.
        fix: what an operator should do; empty when it passes by itself.
        code: Twilio's error code; None where Twilio said nothing, which every process finds out for itself.
        meaning: Twilio's title of the code.
        at_least_s: shortest pause in seconds; 0 leaves it to the backoff.
    """

    what: Paused
    why: str
    fix: str = ""
    code: int | None = None
    meaning: str = ""
    at_least_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to and what follows.

    Attributes:
        outcome: for the attempt's RESULT.
        follows: final, another attempt here, another decision of policy's, or (in doubt, outcome `IN_DOUBT`) None:
            Twilio's list must be asked first.
        status: message status that follows a final result.
        reason: of anything but acceptance.
        detail: the reason in words; no numbers, no bodies.
        error: Twilio's error.
        request_id: Twilio-Request-Id of an answer that refused.
        retry_in_s: seconds until the next attempt or decision.
        pause: what must stop.
        throttled: the account's slots are too many.
        worked: Twilio took or refused this message on its own account: account and lane work.
    """

    outcome: AttemptOutcome
    follows: Follows | None
    status: MessageStatus | None = None
    reason: Reason | None = None
    detail: str | None = None
    error: TwilioError | None = None
    request_id: str | None = None
    accepted: Accepted | None = None
    retry_in_s: float = 0.0
    pause: Pause | None = None
    throttled: bool = False
    worked: bool = False


def judge(answer: Answer, attempt: int, random: Callable[[], float], *, round: int = 0) -> Verdict:
    """What follows from the answer to a message's `attempt`-th POST (1 is the first) in a round."""
    if isinstance(answer, Accepted):
        return Verdict(
            AttemptOutcome.ACCEPTED, Follows.FINAL, status=MessageStatus.ACCEPTED, accepted=answer, worked=True
        )
    if isinstance(answer, Rejected):
        return _rejected(answer, attempt, random, round)
    if isinstance(answer, NotSent) and answer.withheld:
        return Verdict(AttemptOutcome.NOT_STARTED, Follows.RETRY, detail=answer.why)
    if isinstance(answer, NotSent):
        # The next message would fare the same: the account waits, not each of its messages.
        return Verdict(
            AttemptOutcome.TRANSIENT,
            Follows.RETRY,
            reason=Reason.TWILIO_UNAVAILABLE,
            detail=mask_numbers(answer.why),
            pause=Pause(Paused.ACCOUNT, f"Twilio cannot be reached: {answer.why}"),
        )
    return Verdict(AttemptOutcome.IN_DOUBT, None, reason=Reason.IN_DOUBT, detail=mask_numbers(answer.why))


def _rejected(answer: Rejected, attempt: int, random: Callable[[], float], round: int) -> Verdict:
    error = answer.error
    error_class = error.error_class
    match error_class.scope:
        case Scope.THROTTLED:
            return _throttled(answer, attempt, random)
        case Scope.SENDER:
            return _sender_refused(answer, round)
        case Scope.ACCOUNT:
            pause = _pause(Paused.ACCOUNT, error)
            return _retry(AttemptOutcome.REJECTED, Reason.REJECTED_BY_TWILIO, answer, pause=pause)
        case Scope.TRANSIENT if error_class.retry is not Retry.ONCE or attempt < ONCE:
            wait_s = max(RETRY_BACKOFF.wait_s(attempt, random), answer.retry_after_s or 0.0)
            return _retry(AttemptOutcome.TRANSIENT, Reason.TWILIO_UNAVAILABLE, answer, retry_in_s=wait_s)
        case Scope.IN_DOUBT:
            return Verdict(AttemptOutcome.IN_DOUBT, None, reason=Reason.IN_DOUBT, detail=_words(error), error=error)
        case _:
            return Verdict(
                AttemptOutcome.REJECTED,
                Follows.FINAL,
                status=MessageStatus.FAILED,
                reason=Reason.REJECTED_BY_TWILIO,
                detail=_words(error),
                error=error,
                request_id=answer.request_id,
                # Refused by Twilio itself; what our own check of the parameters refused proves nothing about Twilio.
                worked=error.http_status is not None,
            )


def _throttled(answer: Rejected, attempt: int, random: Callable[[], float]) -> Verdict:
    error = answer.error
    error_class = error.error_class
    if error_class.subject is Subject.SENDER:
        pause = _pause(Paused.LANE, error, fix="", at_least_s=answer.retry_after_s or QUEUE_FULL_AT_LEAST_S)
        return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, pause=pause)
    if error_class.retry is not Retry.BACKOFF:
        pause = _pause(Paused.ACCOUNT, error, at_least_s=answer.retry_after_s or LATER_AT_LEAST_S)
        return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, pause=pause)
    wait_s = answer.retry_after_s or THROTTLED_BACKOFF.wait_s(attempt, random)
    return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, retry_in_s=wait_s, throttled=True)


def _sender_refused(answer: Rejected, round: int) -> Verdict:
    error = answer.error
    pause = _pause(Paused.LANE, error)
    if round >= ROUNDS_MAX:
        return _retry(AttemptOutcome.REJECTED, Reason.REJECTED_BY_TWILIO, answer, pause=pause)
    return Verdict(
        AttemptOutcome.REJECTED,
        Follows.WHEEL,
        reason=Reason.SENDER_REFUSED,
        detail=_words(error),
        error=error,
        request_id=answer.request_id,
        retry_in_s=LATER_AT_LEAST_S if error.error_class.retry is Retry.LATER else 0.0,
        pause=pause,
    )


def _pause(what: Paused, error: TwilioError, *, fix: str | None = None, at_least_s: float = 0.0) -> Pause:
    error_class = error.error_class
    return Pause(
        what,
        _words(error),
        error_class.action if fix is None else fix,
        code=error.code,
        meaning=error_class.title,
        at_least_s=at_least_s,
    )


def _retry(
    outcome: AttemptOutcome,
    reason: Reason,
    answer: Rejected,
    *,
    retry_in_s: float = 0.0,
    pause: Pause | None = None,
    throttled: bool = False,
) -> Verdict:
    return Verdict(
        outcome,
        Follows.RETRY,
        reason=reason,
        detail=_words(answer.error),
        error=answer.error,
        request_id=answer.request_id,
        retry_in_s=retry_in_s,
        pause=pause,
        throttled=throttled,
    )


def _words(error: TwilioError) -> str:
    code = f"{error.code}: " if error.code is not None else ""
    return mask_numbers(f"{code}{error.message}")
