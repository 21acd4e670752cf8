"""What SQS's model no longer says, since the service moved to JSON: its query protocol, which is still served.

Names of lists and maps in forms and XML, the namespace and the wrappers of answers, and the codes by which errors are
named on the query wire, and to the clients of JSON that came from there (x-amzn-query-error). Source: "Making Query
API requests to Amazon SQS", the "API Reference"'s query examples, "Using JSON protocol: error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PREFIX = "AWS.SimpleQueueService."

_CODES: Mapping[str, str] = {
    **{
        name: _PREFIX + name
        for name in (
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "MessageNotInflight",
            "PurgeQueueInProgress",
            "QueueDeletedRecently",
            "TooManyEntriesInBatchRequest",
            "UnsupportedOperation",
        )
    },
    "QueueDoesNotExist": _PREFIX + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsNotFound": "KMS.NotFoundException",
    "KmsOptInRequired": "KMS.OptInRequired",
    "KmsThrottled": "KMS.ThrottlingException",
}

_LISTS: Mapping[str, str] = {
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "AttributeNameList": "AttributeName",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
    "MessageAttributeNameList": "MessageAttributeName",
    "MessageList": "Message",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "QueueUrlList": "QueueUrl",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "TagKeyList": "TagKey",
}

# The map's own name, its keys' and its values'.
_MAPS: Mapping[str, tuple[str, str, str]] = {
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}

QUERY_NAME: Final = "casemateQueryName"
"""The trait of a shape whose name in forms and XML is not the member's."""


def complete(model: dict[str, Any]) -> None:
    """Add it all to the model, which JSON's codecs do not mind."""
    model["metadata"]["protocols"] = ["json", "query"]
    model["metadata"]["xmlNamespace"] = "http://queue.amazonaws.com/doc/2012-11-05/"
    for name, operation in model["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    shapes = model["shapes"]
    for name, code in _CODES.items():
        shapes[name]["error"] = {"code": code, "httpStatusCode": 400}
    # What the gate refuses by.
    shapes["AccessDeniedException"] = {
        "type": "structure",
        "members": {"message": {"shape": "ExceptionMessage"}},
        "exception": True,
        "error": {"code": "AccessDenied", "httpStatusCode": 403},
    }
    # The audit shows them as CloudTrail does, without what the message is.
    for name in ("SendMessageRequest", "SendMessageBatchRequestEntry"):
        for member in ("MessageBody", "MessageAttributes"):
            shapes[name]["members"][member]["sensitive"] = True
    # Their values are the operations' to refuse: as attributes, not as parameters, and ReceiveMessage takes in
    # AttributeNames what the model has no longer.
    for name in ("QueueAttributeName", "MessageSystemAttributeName"):
        shapes[name].pop("enum", None)
    for name, of_element in _LISTS.items():
        shapes[name]["member"]["locationName"] = of_element
    for name, (own, key, value) in _MAPS.items():
        shapes[name][QUERY_NAME] = own
        shapes[name]["key"]["locationName"] = key
        shapes[name]["value"]["locationName"] = value


def query_code(name: str) -> str:
    """The code on the query wire of an error of the model's."""
    return _CODES.get(name, name)
