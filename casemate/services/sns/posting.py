"""Deliveries by HTTP: one POST, to an endpoint that is not believed to be quick or kind.

Source: "Amazon SNS HTTP/HTTPS endpoints": headers, timeouts, and which answers are failures.
"""

from __future__ import annotations

from base64 import b64encode
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from casemate.services.sns.delivering import Delivery

_TIMEOUT = 15.0


class Failure(NamedTuple):
    """final: another attempt would fail as well."""

    why: str
    final: bool


class _NoRedirects(HTTPRedirectHandler):
    def http_error_302(self, *args: Any, **more: Any) -> None:  # noqa: ARG002
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def post(delivery: Delivery) -> Failure | None:
    """What went wrong; None when the endpoint has it."""
    notice = delivery.notice
    parts = urlsplit(delivery.endpoint)
    host = parts.netloc.rpartition("@")[2]
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": notice.kind,
        "x-amz-sns-message-id": notice.id,
        "x-amz-sns-topic-arn": delivery.topic,
    }
    if notice.kind == "Notification":
        headers["x-amz-sns-subscription-arn"] = delivery.subscription
        if delivery.raw:
            headers["x-amz-sns-rawdelivery"] = "true"
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
    url = parts._replace(netloc=host, fragment="").geturl()
    request = Request(url, notice.text.encode(), headers, method="POST")  # noqa: S310 - http or https
    opener = build_opener(_NoRedirects, ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT):
            return None
    except HTTPError as error:
        error.close()
        return Failure(f"HTTP {error.code}", 300 <= error.code < 500 and error.code != 429)
    except (URLError, HTTPException, OSError, ValueError) as error:
        return Failure(type(error).__name__, isinstance(error, ValueError))
