"""Deliveries by HTTP: one POST, to where the operator lets endpoints be.

Source: "Amazon SNS HTTP/HTTPS endpoints": headers, timeouts, and which answers are failures.
"""

from __future__ import annotations

from base64 import b64encode
from http.client import HTTPException
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from casemate.engine.egress.exchange import exchange, read_url
from casemate.engine.egress.hosts import Hosts, Unreachable
from casemate.services.sns.delivery_policies import CONTENT_TYPE

if TYPE_CHECKING:
    from casemate.services.sns.delivering import Delivery

_TIMEOUT = 15.0


class Failure(NamedTuple):
    """final: another attempt would fail as well."""

    why: str
    final: bool


def post(delivery: Delivery, hosts: Hosts) -> Failure | None:
    """What went wrong; None when the endpoint has it."""
    notice = delivery.notice
    headers = {
        "Content-Type": delivery.content_type or CONTENT_TYPE,
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": notice.kind,
        "x-amz-sns-message-id": notice.id,
        "x-amz-sns-topic-arn": delivery.topic,
    }
    if notice.kind == "Notification":
        headers["x-amz-sns-subscription-arn"] = delivery.subscription
        if delivery.raw:
            headers["x-amz-sns-rawdelivery"] = "true"
    try:
        parts = urlsplit(delivery.endpoint)
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
        url = read_url(delivery.endpoint)
        answer = exchange("POST", url, headers, notice.text.encode(), hosts=hosts, seconds=_TIMEOUT)
    except Unreachable as error:
        return Failure(f"the endpoint cannot be reached: {error}", error.forbidden)
    except ValueError as error:
        return Failure(type(error).__name__, True)
    except (HTTPException, OSError) as error:
        return Failure(type(error).__name__, False)
    if 200 <= answer.status < 300:
        return None
    return Failure(f"HTTP {answer.status}", 300 <= answer.status < 500 and answer.status != 429)
