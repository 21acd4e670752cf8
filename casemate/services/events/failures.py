"""What becomes of an event that its target does not take: another attempt, or the dead-letter queue.

Source: "Retrying event delivery in Amazon EventBridge", "Using dead-letter queues to process undelivered events".
"""

from __future__ import annotations

import json
import logging
import random
from typing import Any, Final, NamedTuple

from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.call import Call
from casemate.services.events.resources import SERVICE
from casemate.services.events.store import Things
from casemate.services.events.target_kinds import Sending, queue_url, read_arn
from casemate.store.cache import Miss
from casemate.store.database import StoreError
from casemate.store.ids import new_id

log = logging.getLogger("casemate.events")

PURPOSE: Final = "events retry"
_ATTEMPTS, _AGE = 185, 86_400
"""AWS's defaults of RetryPolicy: attempts after the first, and seconds."""
_LONGEST_PAUSE = 600.0
_LONGEST_WAIT = 86_400.0

# Refusals that another attempt will not change. Source: "Retrying event delivery in Amazon EventBridge".
_FINAL: Final = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "AuthorizationError", "KMSAccessDeniedException"),
        *("ResourceNotFoundException", "NotFound", "NotFoundException", "QueueDoesNotExist"),
        *("AWS.SimpleQueueService.NonExistentQueue", "InvalidParameter", "InvalidParameterValue"),
        *(
            "InvalidParameterValueException",
            "ValidationException",
            "ThirdAccountHopDetected",
            "NotImplemented",
        ),
        *("InvalidRequestContentException", "InvalidMessageContents", "MissingParameter"),
        *("UnsupportedOperation", "KmsAccessDenied", "KmsNotFound", "RequestTooLargeException"),
    }
)


class Attempt(NamedTuple):
    """Something to be sent, and how it went so far. id: tells it from all others; begun: when it was tried first,
    seconds since the epoch."""

    id: str
    sending: Sending
    begun: float
    failures: int = 0

    @classmethod
    def read(cls, id: str, written: Any) -> Attempt:  # noqa: A002 - the field's own name
        """One as JSON has it, under another id."""
        _, sending, begun, failures = written
        return cls(id, Sending(*sending), begun, failures)


def failed(base: Call, attempt: Attempt, error: AwsError, wait: float = 0.0) -> None:
    """Try again later, or give up. wait: seconds that the target asks for, at least."""
    policy = attempt.sending.target.get("RetryPolicy", {})
    failures = attempt.failures + 1
    pause = min(2.0 ** min(failures - 1, 20), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311
    pause = max(pause, min(wait, _LONGEST_WAIT))
    exhausted = ""
    if error.code in _FINAL:
        exhausted = "None"
    elif failures > policy.get("MaximumRetryAttempts", _ATTEMPTS):
        exhausted = "MaximumRetryAttempts"
    elif base.now + pause > attempt.begun + policy.get("MaximumEventAgeInSeconds", _AGE):
        exhausted = "MaximumEventAgeInSeconds"
    if exhausted:
        give_up(base, attempt, error, exhausted)
    else:
        _retry(base, attempt._replace(failures=failures), base.now + pause)


def give_up(base: Call, attempt: Attempt, error: AwsError, exhausted: str) -> None:
    """Send it to the dead-letter queue, if there is one."""
    sending = attempt.sending
    queue = sending.target.get("DeadLetterConfig", {}).get("Arn")
    arn = read_arn(queue) if queue else None
    if arn is None:
        log.warning("an event of %s is dropped: %s", sending.rule, error.code)
        return
    about = {
        "RULE_ARN": sending.rule,
        "TARGET_ARN": sending.target["Arn"],
        "ERROR_CODE": _dead_letter_code(error),
        "ERROR_MESSAGE": error.message or error.code,
        "EXHAUSTED_RETRY_CONDITION": exhausted,
        "RETRY_ATTEMPTS": str(attempt.failures),
    }
    request = {
        "QueueUrl": queue_url(arn),
        "MessageBody": sending.text,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in about.items()
        },
    }
    actor = Actor(SERVICE, sending.account, sending.region, sending.rule)
    try:
        with base.tx.savepoint():
            base.gate.operation("sqs", "SendMessage").ask(act_as(base, actor), request)
    except (Miss, StoreError):
        raise
    except (AwsError, KeyError) as refused:
        log.warning("an event of %s is dropped: its dead-letter queue refuses it: %s", sending.rule, refused)


def _retry(base: Call, attempt: Attempt, due: float) -> None:
    row, account = new_id(), attempt.sending.account
    sealed = (
        base.part(Things)
        .keyring.account_key(account, base.tx)
        .wrap(json.dumps(attempt).encode(), PURPOSE, row)
    )
    base.tx.run(
        "INSERT INTO events_retries (id, account, due, sealed) VALUES (?, ?, ?, ?)",
        (row, account, due, sealed),
    )


def begin(base: Call, attempt: Attempt) -> None:
    """What is done before the transaction is done for this attempt, whichever others the next run has with it."""
    base.scope, base.asked = f"{attempt.id}/", 0


def _dead_letter_code(error: AwsError) -> str:
    if "Denied" in error.code or error.code == "AuthorizationError":
        return "NO_PERMISSIONS"
    if "NotFound" in error.code or "NotExist" in error.code or "NonExistent" in error.code:
        return "NO_RESOURCE"
    if error.code == "ThirdAccountHopDetected":
        return "THIRD_ACCOUNT_HOP_DETECTED"
    if "Throttl" in error.code or "TooMany" in error.code:
        return "RATE_LIMITED"
    return "INTERNAL_ERROR" if error.status >= 500 else "SDK_CLIENT_ERROR"
