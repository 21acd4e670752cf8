"""A client of Lambda's Runtime API for Python, for where AWS's own (awslambdaric) is not there. It runs by itself,
with nothing but Python's standard library. Source: "Using the Lambda runtime API for custom runtimes", "Lambda
context object in Python"."""

import http.client
import importlib
import io
import json
import os
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message
    from typing import Any

_API = "/2018-06-01/runtime"


class Context:
    """What a handler is told of its invocation."""

    def __init__(self, headers: "Message", variables: "Mapping[str, str]") -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers.get("Lambda-Runtime-Invoked-Function-Arn")
        self.function_name = variables.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = variables.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = variables.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variables.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        self.identity = None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Until it is timed out."""
        return max(0, self._deadline - int(time.time() * 1000))


def _described(error: BaseException) -> "dict[str, Any]":
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": "",
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def _told(error: BaseException) -> None:
    print(
        f"[ERROR] {type(error).__name__}: {error}",
        "".join(traceback.format_tb(error.__traceback__)),
        sep="\n",
    )


class Client:
    """A connection to the Runtime API."""

    def __init__(self) -> None:
        self._connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def next(self) -> "tuple[Message, bytes]":
        """The headers and the payload of the next invocation, once there is one."""
        self._connection.request("GET", f"{_API}/invocation/next")
        response = self._connection.getresponse()
        return response.headers, response.read()

    def post(self, path: str, body: str) -> None:
        """Tell an outcome."""
        self._connection.request("POST", _API + path, body=body, headers={"Content-Type": "application/json"})
        self._connection.getresponse().read()


def _handler() -> "Callable[[Any, Context], Any]":
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    found: Callable[[Any, Context], Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return found


def main() -> None:
    """Serve invocations for ever."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    sys.path.insert(0, os.environ.get("LAMBDA_TASK_ROOT", "."))
    client = Client()
    try:
        handler = _handler()
    except BaseException as error:
        _told(error)
        client.post("/init/error", json.dumps(_described(error)))
        sys.exit(1)
    while True:
        headers, payload = client.next()
        context = Context(headers, os.environ)
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
        path = f"/invocation/{context.aws_request_id}"
        try:
            body = json.dumps(handler(json.loads(payload), context))
        except Exception as error:
            _told(error)
            client.post(
                f"{path}/error", json.dumps({**_described(error), "requestId": context.aws_request_id})
            )
        else:
            client.post(f"{path}/response", body)
        sys.stdout.flush()


main()
