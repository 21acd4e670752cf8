"""Functions that run: what they get, what they give, what they may, how they end."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_support import (
    ACCOUNT,
    REGION,
    Lambda,
    access_key,
    allowing,
    arn,
    lambda_server,
    refused,
    user_arn,
    zipped,
)

from casemate.services.lambda_.execution.isolation import obstacle

ISOLATED = not obstacle().reason
"""Whether this machine lets the tests make namespaces. Where it does not, functions run without, and it is tried that
the server refuses to run them otherwise."""

ODD = """
    import os, sys, time

    loaded = 0

    def handler(event, context):
        global loaded
        loaded += 1
        print("does", event["do"])
        if event["do"] == "raise":
            raise KeyError("no such thing")
        if event["do"] == "exit":
            os._exit(3)
        if event["do"] == "exit-odd":
            os._exit(-1)
        if event["do"] == "killed":
            os.kill(os.getpid(), 9) if os.getpid() != 1 else os._exit(137)
        if event["do"] == "sleep":
            time.sleep(60)
        if event["do"] == "swell":
            return len(bytearray(512 * 1024 * 1024))
        if event["do"] == "talk":
            return "x" * 6291556
        return {"loaded": loaded, "pid": os.getpid(), "version": context.function_version}
"""


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambda]:
    """A server that runs functions, isolated where that can be."""
    with lambda_server(
        tmp_path_factory.mktemp("running"),
        env={"CASEMATE_LAMBDA_ISOLATION": "bubblewrap" if ISOLATED else "none"},
    ) as server:
        yield server


@pytest.fixture(scope="module")
def odd(running: Lambda) -> str:
    return running.make(ODD, Timeout=10, MemorySize=256)


def answer_of(running: Lambda, name: str, event: object, user: str = "admin", **more: Any) -> Any:
    """The whole answer, with what the payload says in its place."""
    answer = running.of(user).invoke(FunctionName=name, Payload=json.dumps(event), **more)
    answer["Payload"] = json.loads(answer["Payload"].read())
    return answer


def test_a_function_gives_what_it_makes_of_its_event_and_calls_the_server_by_its_role(
    running: Lambda,
) -> None:
    name = running.make(
        """
        import os
        import boto3

        def handler(event, context):
            who = boto3.client("sts").get_caller_identity()["Arn"]
            ssm = boto3.client("ssm")
            value = ssm.put_parameter(Name="/made/by-function", Value="1", Type="String", Overwrite=True)
            print("some output")
            return {
                "event": event,
                "who": who,
                "version": value["Version"],
                "id": context.aws_request_id,
                "arn": context.invoked_function_arn,
                "left": context.get_remaining_time_in_millis(),
                "variables": {name: os.environ[name] for name in (
                    "COLOUR", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "_HANDLER",
                )},
            }
        """,
        Environment={"Variables": {"COLOUR": "red"}},
        Timeout=30,
        MemorySize=256,
    )
    answer = answer_of(running, name, {"a": [1, "ü"]}, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    request_id = answer["ResponseMetadata"]["RequestId"]
    said = answer["Payload"]
    assert 0 < said.pop("left") <= 30_000
    assert said == {
        "event": {"a": [1, "ü"]},
        "who": f"arn:aws:sts::{ACCOUNT}:assumed-role/runner/{name}",
        "version": 1,
        "id": request_id,
        "arn": arn(name),
        "variables": {
            "COLOUR": "red",
            "AWS_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "_HANDLER": "index.handler",
        },
    }
    first, output, end, report = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert first == f"START RequestId: {request_id} Version: $LATEST"
    assert (output, end) == ("some output", f"END RequestId: {request_id}")
    assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert "Memory Size: 256 MB" in report
    assert "Init Duration: " in report


def test_an_environment_is_used_again_and_another_one_after_a_change(running: Lambda) -> None:
    name = running.make(ODD, MemorySize=256)
    counts = [answer_of(running, name, {"do": "count"})["Payload"]["loaded"] for _ in range(3)]
    assert counts == [1, 2, 3]
    running.of().update_function_configuration(FunctionName=name, Timeout=5)
    assert answer_of(running, name, {"do": "count"})["Payload"]["loaded"] == 1


def test_what_a_function_raises_is_its_answer(running: Lambda, odd: str) -> None:
    answer = answer_of(running, odd, {"do": "raise"}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"]["errorType"] == "KeyError"
    assert answer["Payload"]["errorMessage"] == "'no such thing'"
    assert answer["Payload"]["stackTrace"]
    assert "[ERROR] KeyError" in base64.b64decode(answer["LogResult"]).decode()
    assert "FunctionError" not in answer_of(running, odd, {"do": "count"}), "it goes on"


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("exit", "Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
        ("exit-odd", "Runtime.ExitError", "Error: Runtime exited with error: exit status 255"),
        ("killed", "Runtime.ExitError", "Error: Runtime exited with error: signal: killed"),
        ("sleep", "Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
    ],
)
def test_how_a_function_ends_badly(running: Lambda, what: str, kind: str, message: str) -> None:
    name = running.make(ODD, Timeout=1 if what == "sleep" else 10)
    answer = answer_of(running, name, {"do": what}, LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"] == {"errorType": kind, "errorMessage": f"RequestId: {request_id} {message}"}
    assert f"does {what}\n" in base64.b64decode(answer["LogResult"]).decode()
    assert answer_of(running, name, {"do": "count"})["Payload"]["loaded"] == 1, "in a new environment"


def test_the_smallest_memory_is_enough_for_the_sdk_and_threads(running: Lambda) -> None:
    name = running.make(
        """
        import boto3
        from concurrent.futures import ThreadPoolExecutor

        def handler(event, context):
            with ThreadPoolExecutor(4) as pool:
                clients = [boto3.client(each) for each in ("sts", "ssm", "kms", "s3")]
                return len(list(pool.map(lambda each: each.meta.region_name, clients)))
        """,
        MemorySize=128,
        Timeout=30,
    )
    assert answer_of(running, name, {})["Payload"] == 4


def test_memory_is_limited(running: Lambda, odd: str) -> None:
    answer = answer_of(running, odd, {"do": "swell"})
    assert (answer["FunctionError"], answer["Payload"]["errorType"]) == ("Unhandled", "MemoryError")


def test_an_answer_has_its_limit(running: Lambda, odd: str) -> None:
    answer = answer_of(running, odd, {"do": "talk"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"] == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


@pytest.mark.parametrize(
    ("code", "handler", "kind"),
    [
        ("raise ValueError('at the start')", "index.handler", "ValueError"),
        ("x = 1", "index.handler", "Runtime.HandlerNotFound"),
        ("x = 1", "nowhere.handler", "Runtime.ImportModuleError"),
        ("def broken(:", "index.handler", "Runtime.UserCodeSyntaxError"),
    ],
)
def test_code_that_cannot_be_loaded(running: Lambda, code: str, handler: str, kind: str) -> None:
    name = running.make(code, Handler=handler)
    answer = answer_of(running, name, {})
    assert (answer["FunctionError"], answer["Payload"]["errorType"]) == ("Unhandled", kind)


def test_payloads_that_are_no_events(running: Lambda, odd: str) -> None:
    client = running.of()
    with refused("InvalidRequestContentException"):
        client.invoke(FunctionName=odd, Payload=b"no json")
    with refused(
        "RequestTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        413,
    ):
        client.invoke(FunctionName=odd, Payload=b'"' + b"x" * 6 * 1024 * 1024 + b'"')
    with refused("InvalidRequestContentException"):
        client.invoke(FunctionName=odd, Payload=b"{}", ClientContext="***")
    with refused("ResourceNotFoundException", f"Function not found: {arn('missing')}", 404):
        client.invoke(FunctionName="missing")


def test_a_function_does_not_call_from_the_servers_own_address(running: Lambda) -> None:
    role = running.role("addressed")
    iam = running.of(service="iam")
    name = running.make(
        """
            import boto3

            def handler(event, context):
                boto3.client("ssm").put_parameter(Name=event["name"], Value="x", Type="String")
        """,
        Role=role,
        Timeout=30,
    )
    for source, allowed in (("127.0.0.0/8", False), ("169.254.100.1/32", True)):
        condition = {"IpAddress": {"aws:SourceIp": source}}
        iam.put_role_policy(
            RoleName="addressed", PolicyName="own", PolicyDocument=allowing("ssm:*", Condition=condition)
        )
        answer = answer_of(running, name, {"name": f"/addressed-{allowed}"})
        assert ("FunctionError" not in answer) is allowed, answer


def test_who_may_invoke(running: Lambda, odd: str) -> None:
    client, stranger = running.of(), running.of("stranger")
    assert client.invoke(FunctionName=odd, InvocationType="DryRun")["StatusCode"] == 204
    with refused("AccessDeniedException", status=403):
        running.of("nobody").invoke(FunctionName=odd, InvocationType="DryRun")
    with refused("AccessDeniedException", status=403):
        stranger.invoke(FunctionName=arn(odd), Payload=b"{}")
    client.publish_version(FunctionName=odd)
    client.create_alias(FunctionName=odd, Name="shared", FunctionVersion="1")
    client.add_permission(
        FunctionName=odd,
        Qualifier="shared",
        StatementId="stranger",
        Action="lambda:InvokeFunction",
        Principal=user_arn("stranger"),
    )
    answer = answer_of(running, arn(odd), {"do": "count"}, "stranger", Qualifier="shared")
    assert (answer["ExecutedVersion"], answer["Payload"]["version"]) == ("1", "1")
    with refused("AccessDeniedException", status=403):
        stranger.invoke(FunctionName=arn(odd), Payload=b"{}")


def test_an_alias_sends_a_share_to_another_version(running: Lambda) -> None:
    client, name = running.of(), running.make(ODD)
    client.publish_version(FunctionName=name)
    client.update_function_configuration(FunctionName=name, Description="two")
    client.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": ODD + "\n# two\n"}))
    client.publish_version(FunctionName=name)
    client.create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    seen: set[str] = set()
    for _ in range(60):
        seen.add(answer_of(running, name, {"do": "count"}, Qualifier="live")["ExecutedVersion"])
        if len(seen) == 2:
            break
    assert seen == {"1", "2"}


def test_reserved_concurrency_is_a_limit(running: Lambda) -> None:
    client = running.of()
    name = running.make(ODD, Timeout=2)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with refused("TooManyRequestsException", "Rate Exceeded.", 429):
        client.invoke(FunctionName=name, Payload=b'{"do": "count"}')
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    another = running.server.client("lambda", access_key("admin"))

    def sleep() -> None:
        while True:
            try:
                another.invoke(FunctionName=name, Payload=b'{"do": "sleep"}')
                return
            except another.exceptions.TooManyRequestsException:
                continue

    thread = threading.Thread(target=sleep)
    thread.start()
    codes = set()
    while thread.is_alive():
        try:
            client.invoke(FunctionName=name, Payload=b'{"do": "count"}')
        except client.exceptions.TooManyRequestsException as error:
            codes.add(error.response["Reason"])
            thread.join()
    assert codes == {"ReservedFunctionConcurrentInvocationLimitExceeded"}
    client.delete_function_concurrency(FunctionName=name)
    assert answer_of(running, name, {"do": "count"})["StatusCode"] == 200


def test_what_a_function_prints_goes_to_cloudwatch_logs(running: Lambda) -> None:
    role = running.role("logger", "logs:*")
    name = running.make(ODD, Role=role)
    answer_of(running, name, {"do": "count"})
    logs, group = running.of(service="logs"), f"/aws/lambda/{name}"

    def events() -> list[str]:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        found = [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]
        assert found
        return found

    written = until(events)
    assert written[0].startswith("START RequestId: ")
    assert "does count" in written
    assert written[-1].startswith("REPORT RequestId: ")


def until(look: Callable[[], Any]) -> Any:
    """What a look gives, once it gives something without an error."""
    end = time.monotonic() + 20
    while True:
        try:
            return look()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def test_a_role_that_trusts_lambda_no_more_runs_nothing(running: Lambda) -> None:
    role = running.role("fickle")
    name = running.make(ODD, Role=role)
    running.of(service="iam").delete_role(RoleName="fickle")
    with refused(
        "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.", 403
    ):
        running.of().invoke(FunctionName=name, Payload=b'{"do": "count"}')


def test_a_function_whose_key_is_disabled_does_not_run(running: Lambda) -> None:
    kms = running.of(service="kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    role = running.role("without-kms")
    name = running.make(ODD, Role=role, KMSKeyArn=key, Environment={"Variables": {"SECRET": "sealed"}})
    kms.disable_key(KeyId=key)
    with refused("KMSDisabledException", status=502):
        running.of().invoke(FunctionName=name, Payload=b'{"do": "count"}')
    kms.enable_key(KeyId=key)
    assert answer_of(running, name, {"do": "count"})["StatusCode"] == 200, "by the grant alone"


def test_a_runtime_of_ones_own(running: Lambda) -> None:
    """A bootstrap that speaks the Runtime API by itself, in chunks, over a connection for each request."""
    bootstrap = """\
        #!/usr/bin/python3
        import http.client, os

        api = os.environ["AWS_LAMBDA_RUNTIME_API"]
        while True:
            connection = http.client.HTTPConnection(api)
            connection.request("GET", "/2018-06-01/runtime/invocation/next")
            response = connection.getresponse()
            request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
            event = response.read()
            connection.close()
            connection = http.client.HTTPConnection(api)
            path = f"/2018-06-01/runtime/invocation/{request_id}/response"
            connection.request("POST", path, body=iter([b'{"got": ', event, b"}"]), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})
            assert connection.getresponse().status == 202
            connection.close()
    """
    name = running.make(zipped({"bootstrap": bootstrap}), Runtime="provided.al2023", Handler="none")
    for number in range(2):
        assert answer_of(running, name, {"n": number})["Payload"] == {"got": {"n": number}}


LOOK = """
    import os, socket, subprocess

    def reached(host, port):
        try:
            socket.create_connection((host, port), 2).close()
            return True
        except OSError:
            return False

    def readable(path):
        try:
            os.listdir(path) if os.path.isdir(path) else open(path).read()
            return True
        except OSError:
            return False

    def writable(path):
        try:
            open(os.path.join(path, "left-by-a-function"), "w").close()
            return True
        except OSError:
            return False

    def handler(event, context):
        return {
            "reached": [reached(*each) for each in event["reach"]],
            "readable": [readable(each) for each in event["read"]],
            "writable": [writable(each) for each in event["write"]],
            "processes": [each for each in os.listdir("/proc") if each.isdigit()],
            "uid": os.getuid(),
        }
"""


def test_what_an_isolated_function_sees(tmp_path: Path, running: Lambda) -> None:
    """Its own files, its own processes, no network but the server. Where the machine does not let the server isolate
    anything, the server refuses to run functions."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        data = str(running.server.data)
        event = {
            "reach": [("127.0.0.1", port), ("127.0.0.1", int(running.server.endpoint.rpartition(":")[2]))],
            "read": [data, "/etc/passwd", str(Path.home() / ".ssh"), "/var/task/index.py", "/home"],
            "write": ["/var/task", "/usr", "/", "/dev", "/dev/shm", "/tmp"],
        }
        if not ISOLATED:
            with lambda_server(tmp_path) as server:
                name = server.make(LOOK)
                with refused("NotImplemented", status=501):
                    server.of().invoke(FunctionName=name, Payload=json.dumps(event))
            return
        seen = answer_of(running, running.make(LOOK), event)["Payload"]
    assert seen["reached"] == [False, False]
    assert seen["readable"] == [False, False, False, True, False]
    assert seen["writable"] == [False, False, False, False, True, True]
    assert len(seen["processes"]) == 1
    assert seen["uid"] == 993


def test_hosts_that_are_allowed_are_reached_and_no_others(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as other:
        port, forbidden = allowed.getsockname()[1], other.getsockname()[1]
        with lambda_server(
            tmp_path,
            env={
                "CASEMATE_LAMBDA_ISOLATION": "bubblewrap" if ISOLATED else "none",
                "CASEMATE_LAMBDA_NETWORK": f"127.0.0.1:{port},localhost.localdomain:{port}",
            },
        ) as server:
            code = """
                import socket

                def handler(event, context):
                    with socket.create_connection((event["host"], event["port"]), 5) as sock:
                        sock.sendall(b"question")
                        sock.shutdown(socket.SHUT_WR)
                        return sock.makefile("r").read()
            """
            name = server.make(code, Timeout=10)

            def answer() -> None:
                sock, _ = allowed.accept()
                with sock:
                    sock.sendall(b"answer to " + sock.makefile("rb").read())

            thread = threading.Thread(target=answer)
            thread.start()
            said = answer_of(server, name, {"host": "127.0.0.1", "port": port})
            thread.join()
            assert said["Payload"] == "answer to question"
            if ISOLATED:
                failed = answer_of(server, name, {"host": "127.0.0.1", "port": forbidden})
                assert failed["Payload"]["errorType"] == "ConnectionRefusedError"


def _functions_processes(server: Lambda) -> list[int]:
    """Processes that run the server's function."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"AWS_LAMBDA_FUNCTION_NAME=of-" + str(server.server.process.pid).encode() in environment:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", ["terminated", "killed"])
@pytest.mark.parametrize("isolation", ["bubblewrap", "none"])
def test_no_process_survives_the_server(tmp_path: Path, how: str, isolation: str) -> None:
    if isolation == "bubblewrap" and not ISOLATED:
        isolation = "none"
    with lambda_server(tmp_path, env={"CASEMATE_LAMBDA_ISOLATION": isolation}) as server:
        name = server.make(ODD, FunctionName=f"of-{server.server.process.pid}")
        answer_of(server, name, {"do": "count"})
        assert _functions_processes(server)
        if how == "killed":
            server.server.kill()
        else:
            assert server.server.stop() == 0

        def gone() -> None:
            assert not _functions_processes(server)

        until(gone)


def test_a_server_that_cannot_isolate_refuses_to_run(tmp_path: Path) -> None:
    """Without bubblewrap on its PATH, say."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for needed in ("python3", "env"):
        found = shutil.which(needed)
        assert found
        (programs / needed).symlink_to(found)
    with lambda_server(tmp_path, env={"PATH": str(programs)}) as server:
        name = server.make(ODD)
        with refused(
            "NotImplemented",
            "This server runs no functions: they cannot be isolated, for bubblewrap (bwrap) is not installed. "
            'Whoever operates it may let them run without isolation (lambda_isolation = "none").',
            501,
        ):
            server.of().invoke(FunctionName=name, Payload=b'{"do": "count"}')
        assert server.of().invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def test_several_workers_each_have_their_own_environments(tmp_path: Path) -> None:
    with lambda_server(
        tmp_path,
        "--workers",
        "2",
        env={"CASEMATE_LAMBDA_ISOLATION": "bubblewrap" if ISOLATED else "none"},
    ) as server:
        name = server.make(ODD, Timeout=20)
        for _ in range(6):
            fresh = server.server.client("lambda", access_key("admin"))
            assert fresh.invoke(FunctionName=name, Payload=b'{"do": "count"}')["StatusCode"] == 200
        assert server.server.stop() == 0
