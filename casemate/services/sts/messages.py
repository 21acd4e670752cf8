"""DecodeAuthorizationMessage: why a call was refused, for those who are allowed to know."""

from __future__ import annotations

from casemate.api import sts
from casemate.engine.authorization_message import AuthorizationMessages, BadMessage
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.sts.caller import any_resource
from casemate.services.sts.quotas import REQUESTS


@sts.DecodeAuthorizationMessage.reads(any_resource, quota=REQUESTS)
def decode_authorization_message(
    call: Call, req: sts.DecodeAuthorizationMessageRequest, target: Resource
) -> sts.DecodeAuthorizationMessageResponse:
    """What the message of a refusal in the caller's account says: who, what, on which resource, with which condition
    keys, and whether a statement denied."""
    try:
        text = call.part(AuthorizationMessages).open(call.account, req["EncodedMessage"])
    except BadMessage:
        raise AwsError(
            "InvalidAuthorizationMessageException", "The authorization message is not valid.", 400
        ) from None
    return {"DecodedMessage": text}
