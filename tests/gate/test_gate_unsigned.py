"""Nobody gets in without a signature, not even where no permission is needed."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from server_support import Server


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (
            b"Action=GetCallerIdentity&Version=2011-06-15",
            {"Content-Type": "application/x-www-form-urlencoded"},
            "MissingAuthenticationToken",
        ),
        (
            b"{}",
            {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"},
            "MissingAuthenticationTokenException",
        ),
    ],
)
def test_an_unsigned_request_is_refused(
    server: Server, body: bytes, headers: dict[str, str], code: str
) -> None:
    request = urllib.request.Request(server.endpoint, data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.code in (400, 403)
        assert code in answer.read().decode()
