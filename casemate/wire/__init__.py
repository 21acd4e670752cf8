"""AWS's wire protocols, compiled from botocore's service models: requests to members, results to answers.

Pure: bytes in, values out. ``codec(service, operation, protocol)`` gives an operation's codec, made when first
asked and kept:

- ``codec.parse(method, path, query, headers, body)`` → the input's members, each constraint of the model checked;
  AwsError otherwise, worded as the service words it;
- ``codec.reply(result, request_id)`` and ``codec.error(error, request_id)`` → ``Reply(status, head, body)``;
- ``codec.redact(params)`` → the input as the audit journal may show it.

Members have the model's names. Blobs are bytes, timestamps are timezone-aware datetimes, document types are plain
JSON values. Unknown members of a request are ignored, unknown members of a result are a TypeError.
"""

from __future__ import annotations

from casemate.wire.models import model, protocols
from casemate.wire.operation_codec import OperationCodec, codec, error_reply
from casemate.wire.replies import Reply
from casemate.wire.routing import route_rest

__all__ = ["OperationCodec", "Reply", "codec", "error_reply", "model", "protocols", "route_rest"]
