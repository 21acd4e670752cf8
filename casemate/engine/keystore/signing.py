"""Signature Version 4, made: the headers of a request to an external key store proxy. Pure.

Source: "AWS KMS External Key Store Proxy API Specification", appendix A.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256

from casemate.engine.envelope.derivation import KeyHolder

SERVICE = "kms-xks-proxy"
_SIGNED = "host;x-amz-date"


class Credential(KeyHolder):
    """A proxy's access key id and secret access key."""

    __slots__ = ("_day", "_key", "_secret", "access_key_id")

    def __init__(self, access_key_id: str, secret: str) -> None:
        self.access_key_id = access_key_id
        self._secret = secret
        self._day = ("", "")
        self._key = b""

    def __repr__(self) -> str:
        return f"<Credential {self.access_key_id}>"

    def sign(self, day: str, region: str, message: str) -> str:
        """The signature, in hex."""
        if self._day != (day, region):
            key = b"AWS4" + self._secret.encode()
            for part in (day, region, SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._day = key, (day, region)
        return hmac.digest(self._key, message.encode(), "sha256").hex()


def signed_headers(
    credential: Credential, region: str, host: str, path: str, body: bytes, now: float
) -> Mapping[str, str]:
    """The headers of a POST, signed. path: as it is sent, of characters that need no encoding; now: seconds since the
    epoch by the machine's clock, which the proxy compares with its own."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/{SERVICE}/aws4_request"
    request = (
        f"POST\n{path}\n\nhost:{host}\nx-amz-date:{moment}\n\n{_SIGNED}\n{sha256(body).hexdigest()}".encode()
    )
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request).hexdigest()}"
    signature = credential.sign(moment[:8], region, to_sign)
    return {
        "Host": host,
        "X-Amz-Date": moment,
        "Content-Type": "application/json",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential.access_key_id}/{scope}, "
        f"SignedHeaders={_SIGNED}, Signature={signature}",
    }
