"""What follows from Twilio's answer to a POST: pure, by the class of the error and never by HTTP status alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from connectors.masking import mask_numbers
from connectors.twilio.answers import Accepted, Answer, NotSent, Rejected
from connectors.twilio.errors import Retry, Scope, Subject, Suppress, TwilioError
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
"""`later` in the error table means minutes to hours. What must wait longer than this waits on the wheel, so that policy
is asked again."""
LATER_AT_MOST_S = 3600.0
"""A message that is refused round after round comes back after twice the time of the round before, at most this. No
lane or account is held for longer than this by one answer."""
ONCE = 2
"""`once` in the error table: the second POST is the last."""
POSTS_MAX = 8
"""So many POSTs of one message are made here, within about a minute; then it waits on the wheel."""
PROBES_FIRST = 2
"""From its second refusal on a message that was refused for its lane or account waits for longer than the pause that
follows. It may be the one that is due first, and would be the only one to probe until its deadline."""
LATER_BY = 0.1
"""A wait that Twilio named is lengthened by up to this part of it, so that not all come back in one moment."""

ROUNDS_MAX = 3
"""A message that meets a refused sender is given back to policy so often. After that it waits for its lane: policy has
no other sender, and would only send it round. One that is refused for itself ends then."""


class Paused(StrEnum):
    """What a pause holds."""

    LANE = "lane"
    ACCOUNT = "account"
    COUNTRY = "country"
    """What a lane has for one country; its name is `lane@country`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Trouble that is not this message's.

    Attributes:
        what: lane or account of the message, or its lane for its country.
        why: for a person: code and text of the error.
        fix: what an operator should do; empty when it passes by itself.
        code: Twilio's error code; None where Twilio said nothing, which every process finds out for itself.
        meaning: Twilio's title of the code.
        at_least_s: shortest pause in seconds; 0 leaves it to the backoff.
        may_be_country: of a lane: its sender may be refused for this country alone.
    """

    what: Paused
    why: str
    fix: str = ""
    code: int | None = None
    meaning: str = ""
    at_least_s: float = 0.0
    may_be_country: bool = False


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

    def behind_pause(self, pause_s: float) -> Verdict:
        """The same, if what it waits is to come after the pause of so many seconds that it brought about."""
        if self.follows is not Follows.RETRY or self.pause is None or not self.retry_in_s:
            return self
        return replace(self, retry_in_s=pause_s + self.retry_in_s)


def judge(
    answer: Answer, posts: int, random: Callable[[], float], *, round: int = 0, fallback: bool = False
) -> Verdict:
    """What follows from the answer to the last of a message's `posts` POSTs in a round, as far as this process knows.
    An attempt whose POST was not begun is none. `fallback`: the message has channels left to try."""
    if isinstance(answer, Accepted):
        return Verdict(
            AttemptOutcome.ACCEPTED, Follows.FINAL, status=MessageStatus.ACCEPTED, accepted=answer, worked=True
        )
    if isinstance(answer, Rejected):
        return _rejected(answer, posts, random, round, fallback)
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


def _rejected(answer: Rejected, posts: int, random: Callable[[], float], round: int, fallback: bool) -> Verdict:
    error = answer.error
    match error.error_class.scope:
        case Scope.THROTTLED:
            return _throttled(answer, posts, random, round)
        case Scope.SENDER:
            return _sender_refused(answer, posts, random, round)
        case Scope.ACCOUNT:
            later = error.error_class.retry is Retry.LATER
            pause = _pause(Paused.ACCOUNT, error, at_least_s=_named_s(LATER_AT_LEAST_S, random) if later else 0.0)
            besides_s = _out_of_the_way_s(posts, random, round)
            return _retry(AttemptOutcome.REJECTED, Reason.REJECTED_BY_TWILIO, answer, retry_in_s=besides_s, pause=pause)
        case Scope.IN_DOUBT:
            return Verdict(AttemptOutcome.IN_DOUBT, None, reason=Reason.IN_DOUBT, detail=_words(error), error=error)
        case scope:
            transient = scope is Scope.TRANSIENT
            outcome = AttemptOutcome.TRANSIENT if transient else AttemptOutcome.REJECTED
            reason = Reason.TWILIO_UNAVAILABLE if transient else Reason.REJECTED_BY_TWILIO
            # Refused by Twilio itself; what our own check of the parameters refused proves nothing about Twilio.
            worked = not transient and error.http_status is not None
            wait_s = _wait_s(answer, posts, random, round)
            if wait_s is not None:
                return _retry(outcome, reason, answer, retry_in_s=wait_s, worked=worked)
            moves_on = fallback and _is_of_channel(error)
            return Verdict(
                AttemptOutcome.REJECTED,
                Follows.WHEEL if moves_on else Follows.FINAL,
                status=None if moves_on else MessageStatus.FAILED,
                reason=Reason.CHANNEL_FAILED if moves_on else Reason.REJECTED_BY_TWILIO,
                detail=_words(error),
                error=error,
                request_id=answer.request_id,
                worked=worked,
            )


def _wait_s(answer: Rejected, posts: int, random: Callable[[], float], round: int) -> float | None:
    """Seconds until a message that was refused for itself is tried again, by what the error table says of it; None when
    it ends here."""
    named_s = _named_s(answer.retry_after_s or 0.0, random)
    later_s = None if round >= ROUNDS_MAX else max(named_s, _later_s(round, random))
    match answer.error.error_class.retry:
        case Retry.ONCE if posts < ONCE:
            return max(named_s, RETRY_BACKOFF.wait_s(posts, random))
        case Retry.BACKOFF:
            return max(named_s, RETRY_BACKOFF.wait_s(posts, random)) if posts < POSTS_MAX else later_s
        case Retry.LATER:
            return later_s
        case _:
            return None


def _is_of_channel(error: TwilioError) -> bool:
    """Another channel may reach the person, as feedback judges errors that come by callback."""
    error_class = error.error_class
    if error_class.opt_out or error_class.suppress is Suppress.ALL:
        return False
    return error_class.retry is Retry.ALT or error_class.suppress is Suppress.CHANNEL


def _throttled(answer: Rejected, posts: int, random: Callable[[], float], round: int) -> Verdict:
    error = answer.error
    error_class = error.error_class
    if error_class.subject is Subject.SENDER:
        at_least_s = _pause_s(answer, QUEUE_FULL_AT_LEAST_S, random)
        pause = _pause(Paused.LANE, error, fix="", at_least_s=at_least_s)
        return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, pause=pause)
    if error_class.retry is not Retry.BACKOFF:
        pause = _pause(Paused.ACCOUNT, error, at_least_s=_pause_s(answer, LATER_AT_LEAST_S, random))
        return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, pause=pause)
    if posts < POSTS_MAX:
        named_s = answer.retry_after_s
        wait_s = THROTTLED_BACKOFF.wait_s(posts, random) if named_s is None else _named_s(named_s, random)
    else:
        # Never processed, so it never ends by this, but it waits ever longer.
        wait_s = _later_s(round, random)
    return _retry(AttemptOutcome.THROTTLED, Reason.THROTTLED, answer, retry_in_s=wait_s, throttled=True)


def _sender_refused(answer: Rejected, posts: int, random: Callable[[], float], round: int) -> Verdict:
    error = answer.error
    pause = replace(_pause(Paused.LANE, error), may_be_country=error.error_class.may_be_country)
    if round >= ROUNDS_MAX:
        besides_s = _out_of_the_way_s(posts, random, round)
        return _retry(AttemptOutcome.REJECTED, Reason.REJECTED_BY_TWILIO, answer, retry_in_s=besides_s, pause=pause)
    return Verdict(
        AttemptOutcome.REJECTED,
        Follows.WHEEL,
        reason=Reason.SENDER_REFUSED,
        detail=_words(error),
        error=error,
        request_id=answer.request_id,
        retry_in_s=_named_s(LATER_AT_LEAST_S, random) if error.error_class.retry is Retry.LATER else 0.0,
        pause=pause,
    )


def _out_of_the_way_s(posts: int, random: Callable[[], float], round: int) -> float:
    """What a message waits that was refused for its lane or account, besides the pause that follows: nothing at first.
    One that is refused again lets others find out whether the trouble is over, for it may be the trouble itself (this
    sender may not write to this country; somebody on the way dislikes this text)."""
    if posts < PROBES_FIRST:
        return 0.0
    return RETRY_BACKOFF.wait_s(posts, random) if posts < POSTS_MAX else _later_s(round, random)


def _named_s(wait_s: float, random: Callable[[], float]) -> float:
    """A wait that is never less than what was asked for."""
    return wait_s * (1.0 + LATER_BY * random())


def _pause_s(answer: Rejected, at_least_s: float, random: Callable[[], float]) -> float:
    """How long lane or account is held: as long as Twilio says, but a probe now and then finds out whether it is so."""
    return _named_s(min(answer.retry_after_s or at_least_s, LATER_AT_MOST_S), random)


def _later_s(round: int, random: Callable[[], float]) -> float:
    return _named_s(min(LATER_AT_MOST_S, LATER_AT_LEAST_S * 2.0 ** min(round, 30)), random)


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
    worked: bool = False,
) -> Verdict:
    return Verdict(
        outcome,
        Follows.RETRY if retry_in_s < LATER_AT_LEAST_S else Follows.WHEEL,
        reason=reason,
        detail=_words(answer.error),
        error=answer.error,
        request_id=answer.request_id,
        retry_in_s=retry_in_s,
        pause=pause,
        throttled=throttled,
        worked=worked,
    )


def _words(error: TwilioError) -> str:
    code = f"{error.code}: " if error.code is not None else ""
    return mask_numbers(f"{code}{error.message}")
