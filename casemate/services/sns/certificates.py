"""The certificates by which messages are verified, at the URLs that messages name: for anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate import wire
from casemate.errors import AwsError
from casemate.gate.identity import ANONYMOUS
from casemate.gate.operation import Operation
from casemate.gate.resource import Resource
from casemate.gate.router import Route
from casemate.services.sns.signing import certificate_of
from casemate.wire import Reply

if TYPE_CHECKING:
    from casemate.gate.call import Call

PREFIX = b"/SimpleNotificationService-"
_END = b".pem"
_HEAD = b"Content-Type: application/x-pem-file\r\n"

GetSigningCertificate: Operation[Mapping[str, Any], Mapping[str, Any]] = Operation(
    "sns", "GetSigningCertificate"
)


class _Codec:
    """Its request is a path, its answer a file."""

    def parse(
        self,
        method: str,  # noqa: ARG002
        path: bytes,
        query: bytes,  # noqa: ARG002
        headers: Mapping[bytes, bytes],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, Any]:
        name = path.removeprefix(PREFIX).removesuffix(_END).decode("latin-1")
        return {"Name": name if name.isalnum() else ""}

    def reply(self, result: Mapping[str, Any], request_id: str) -> Reply:  # noqa: ARG002
        return Reply(200, _HEAD, result["Certificate"])

    def error(self, error: AwsError, request_id: str) -> Reply:
        return wire.error_reply("sns", "query", error, request_id)

    def redact(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": params["Name"]}

    def redact_result(self, result: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {}


def _certificate(call: Call, request: Mapping[str, Any]) -> Resource:
    return Resource(f"arn:aws:sns:{call.region}::certificate", "")


@GetSigningCertificate.reads(_certificate, always_allowed=True, proof=lambda _call, _request: ANONYMOUS)
def get_signing_certificate(call: Call, req: Mapping[str, Any], target: Resource) -> Mapping[str, Any]:
    """The certificate of that name, as PEM."""
    found = certificate_of(call.tx, req["Name"])
    if found is None:
        raise AwsError("NotFoundException", "There is no such certificate.")
    return {"Certificate": found}


ROUTE = Route(GetSigningCertificate, _Codec(), "sns", "query", "sns.amazonaws.com")
"""Of GET requests whose path begins with PREFIX."""
