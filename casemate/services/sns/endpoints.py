"""Endpoints of subscriptions: which there are, by protocol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.engine.egress.exchange import read_url
from casemate.engine.egress.hosts import Hosts
from casemate.engine.egress.mail import Mail
from casemate.services.sns.naming import Endpoint, read_endpoint
from casemate.services.sns.refusals import invalid, not_served
from casemate.services.sns.retries import MAIL_PROTOCOLS
from casemate.services.sns.topics import Topic

if TYPE_CHECKING:
    from casemate.gate.call import Call

_OTHERS = ("application", "firehose", "sms")
_MAIL_ADDRESS = re.compile(
    r"(?=.{3,254}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?",
    re.ASCII,
)


def check_endpoint(call: Call, topic: Topic, protocol: str, endpoint: str) -> bool:
    """Whether it is the subscriber's own, so that nobody need confirm it. Raises InvalidParameter."""
    if protocol in ("http", "https"):
        if topic.place.fifo:
            raise invalid("Invalid protocol type: FIFO topics deliver to queues")
        _check_url(call, protocol, endpoint)
        return False
    if protocol in MAIL_PROTOCOLS:
        _check_mail(call, topic, endpoint)
        return False
    if protocol in _OTHERS:
        raise not_served(f"Subscriptions of the protocol {protocol} are")
    if protocol not in ("sqs", "lambda"):
        raise invalid("Invalid protocol")
    arn: Endpoint | None = read_endpoint(endpoint)
    if (
        arn is None
        or arn.service != protocol
        or (protocol == "lambda") != arn.resource.startswith("function:")
    ):
        raise invalid(f"{'SQS' if protocol == 'sqs' else 'Lambda'} endpoint ARN")
    if protocol == "sqs" and arn.resource.endswith(".fifo") and not topic.place.fifo:
        raise invalid("Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
    if protocol == "lambda" and topic.place.fifo:
        raise invalid("Invalid protocol type: FIFO topics deliver to queues")
    return arn.account == call.account


def _check_mail(call: Call, topic: Topic, address: str) -> None:
    if call.part(Mail).server is None:
        raise not_served("Subscriptions by e-mail without an SMTP server in the configuration (smtp) are")
    if topic.place.fifo:
        raise invalid("Invalid protocol type: FIFO topics deliver to queues")
    if not _MAIL_ADDRESS.fullmatch(address):
        raise invalid("Email address")


def _check_url(call: Call, protocol: str, endpoint: str) -> None:
    if not endpoint.startswith(f"{protocol}://"):
        raise invalid(f"Endpoint must match the specified protocol: {protocol}")
    try:
        host = read_url(endpoint).host
    except ValueError:
        raise invalid("Endpoint Reason: it is no URL") from None
    # By name only: where a host is, is looked at when there is something to deliver.
    if call.part(Hosts).refuses(host):
        raise invalid("Endpoint Reason: the server is not configured to reach this host")
