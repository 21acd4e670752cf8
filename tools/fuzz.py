"""Feeds the parsers that stand before any proof of identity, or behind a signature, with arbitrary bytes.

    python tools/fuzz.py [TARGET ...] [--seconds N] [--engine atheris|hypothesis] [--list]

A target may raise the errors that it documents and nothing else, and answers each input within a second. With
atheris (if it is installed) coverage guides the inputs; otherwise hypothesis makes them out of pieces of good ones.
Exit status 1 when something was found, with the input as Python writes it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import importlib.util
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from casemate import wire
from casemate.engine.attestation.certificates import check_root
from casemate.engine.attestation.document import verify as verify_attestation
from casemate.engine.attestation.errors import BadAttestation
from casemate.engine.attestation.issuing import Authority
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import BackingKey, open_message, read_header, seal_message
from casemate.engine.events.pattern import PatternError, compile_pattern
from casemate.engine.logs import PatternError as LogPatternError
from casemate.engine.logs import compile_pattern as compile_filter
from casemate.engine.logs.insights import QueryError, plan_query
from casemate.engine.policy import PolicyError, parse
from casemate.errors import AwsError
from casemate.gate.auth_errors import FAMILIES
from casemate.gate.canonical import canonical_query, query_pairs, s3_path
from casemate.gate.claim import read_claim
from casemate.gate.signature import body_hash, check_body, payload_of, verify
from casemate.server.http_head import BadRequest, check_partial_head, parse_head
from casemate.server.transport_limits import Limits
from casemate.services.kms.naming import parse_key_name

SLOW_SECONDS = 1.0
_HANG_SECONDS = 60

_SEPARATOR = b"\x00\x01"
"""Between the parts of an input that has several."""

_LIMITS = Limits()
_KEY = BackingKey("0" * 64, bytes(range(32)))
_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

_MADE = time.time()
_ROOT = Authority.new(_MADE)

Check = Callable[[bytes], object]


class Target(NamedTuple):
    """allowed: what it may raise; seeds: good inputs, from which others are made."""

    check: Check
    allowed: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


class Slow(Exception):
    """An input took longer than SLOW_SECONDS."""


def _parts(data: bytes, count: int) -> list[bytes]:
    parts = data.split(_SEPARATOR, count - 1)
    return parts + [b""] * (count - len(parts))


# --- the targets


def _head(data: bytes) -> None:
    parse_head(data, _LIMITS)


def _partial_head(data: bytes) -> None:
    if data:
        check_partial_head(data, 0, _LIMITS)


def _signature(data: bytes) -> None:
    choice, authorization, date, query, path, more = _parts(data, 6)
    family = FAMILIES[choice[0] % len(FAMILIES)] if choice else "json"
    headers = {b"host": b"localhost", b"x-amz-date": date, b"x-amz-content-sha256": more}
    if authorization:
        headers[b"authorization"] = authorization
    claim = read_claim("POST", query, headers, family)
    canonical_query(query_pairs(query))
    s3_path(path)
    if claim is None:
        return
    payload = payload_of(claim, family, headers)
    computed = body_hash(b"body")
    check_body(family, payload, computed)
    declared = payload.declared or computed
    verify(claim, "secret", family, "POST", path or b"/", query, headers, declared, time.time())
    raise AssertionError("a signature was made without the secret")


def _policy(data: bytes) -> None:
    text = data[1:].decode("utf-8", "replace")
    kinds = ("identity", "resource", "key", "trust", "scp", "rcp")
    kind = kinds[data[0] % len(kinds)] if data else "key"
    parse(text, kind)


def _ciphertext(data: bytes) -> None:
    read_header(data)
    open_message(_KEY, data, {})


def _attestation(data: bytes) -> None:
    with warnings.catch_warnings():
        # cryptography warns of odd serial numbers, and goes on.
        warnings.simplefilter("ignore")
        verify_attestation(data, frozenset([_ROOT.der]), _MADE)


def _certificate(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_root(data)


def _key_name(data: bytes) -> None:
    parse_key_name(data.decode("utf-8", "replace"))


def _codec(service: str, operations: Sequence[str], protocol: str) -> Check:
    def check(data: bytes) -> None:
        choice, path, query, header, body = _parts(data, 5)
        operation = operations[choice[0] % len(operations)] if choice else operations[0]
        found = wire.codec(service, operation, protocol)
        params = found.parse("POST", path or b"/", query, {b"content-type": header}, body)
        found.redact(params)

    return check


def _seeds(*bodies: bytes, query: bytes = b"", path: bytes = b"/") -> tuple[bytes, ...]:
    return tuple(_SEPARATOR.join((bytes([n]), path, query, b"", body)) for n, body in enumerate(bodies))


TARGETS: dict[str, Target] = {
    "head": Target(
        _head,
        (BadRequest,),
        (
            b"POST /a%2F?b=c HTTP/1.1\r\nHost: localhost:4566\r\nContent-Length: 12\r\nConnection: keep-alive",
            b"PUT http://a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue",
            b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nX: \xff\r\nx:\t1",
        ),
    ),
    "partial-head": Target(
        _partial_head, (BadRequest,), (b"POST / HTTP/1.1\r\nHost: a\r\nX", b"GE", b"GET /")
    ),
    "signature": Target(
        _signature,
        (AwsError,),
        (
            _SEPARATOR.join(
                (
                    b"\x00",
                    b"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261123/us-east-1/kms/aws4_request, "
                    b"SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64,
                    b"20261123T000000Z",
                    b"",
                    b"/",
                    b"UNSIGNED-PAYLOAD",
                )
            ),
            _SEPARATOR.join(
                (
                    b"\x04",
                    b"",
                    b"",
                    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261123%2Fus-east-1%2Fs3%2Faws4_request"
                    b"&X-Amz-Date=20261123T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
                    + b"0"
                    * 64,
                    b"/a//b/../%2f",
                    b"",
                )
            ),
        ),
    ),
    "event-pattern": Target(
        lambda data: compile_pattern(data.decode("utf-8", "surrogateescape")),
        (PatternError,),
        (
            b'{"source": ["a", {"prefix": "b"}, {"suffix": {"equals-ignore-case": "c"}}], "detail": {"$or": ['
            b'{"n": [{"numeric": [">", 0, "<=", 5]}]}, {"ip": [{"cidr": "10.0.0.0/8"}]}], "x": [null, true, '
            b'1.5e2, {"anything-but": ["a"]}, {"anything-but": {"wildcard": "*a\\*"}}, {"exists": false}]}}',
            b'{"a": [{"equals-ignore-case": "\\u00e9"}, {"anything-but": {"prefix": ["x", "y"]}}, 1]}',
        ),
    ),
    "insights-query": Target(
        lambda data: plan_query(data.decode("utf-8", "replace")),
        (QueryError,),
        (
            b"fields @timestamp, a.b as x | filter x like /(?i)y/ and n in [1, 2] | sort x desc | limit 5 # all",
            b"parse @message 'user=*, *' as u, v | stats count(*) as n, pct(ms, 99) by bin(5m), `o d` | dedup u",
            b'parse a /(?<b>\\d+)/ | display concat(b, "c", -1.5e3 ^ 2), datefloor(@timestamp, 1mo), '
            b"isIpv4InSubnet(a, '10.0.0.0/8')",
        ),
    ),
    "log-pattern": Target(
        lambda data: compile_filter(data.decode("utf-8", "replace")),
        (LogPatternError,),
        (
            b'{ ($.a.b[0] = "x*" && $.n >= 1e2) || $.c NOT EXISTS || $["d"] IS NULL }',
            b"[ip, ..., status = 4* || status = 5*, size > 10]",
            b'?a -"b c" d',
            b"%ERR[0-9]+%",
        ),
    ),
    "policy": Target(
        _policy,
        (PolicyError,),
        tuple(
            bytes([kind])
            + b'{"Version": "2012-10-17", "Id": "x", "Statement": [{"Sid": "a", "Effect": "Allow", '
            b'"Principal": {"AWS": ["111122223333", "*"]}, "Action": ["kms:*", "s3:Get?bject"], "Resource": '
            b'"arn:aws:kms:*:111122223333:key/${aws:username, \'x\'}", "Condition": {"ForAnyValue:StringLike": '
            b'{"kms:EncryptionContext:a": ["x", "y*"]}, "DateLessThan": {"aws:CurrentTime": "2026-11-23T00:00:00Z"}, '
            b'"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Null": {"aws:TokenIssueTime": "true"}, '
            b'"NumericEquals": {"x:y": 1.5}, "BinaryEquals": {"x:z": "eA=="}}}]}'
            for kind in range(6)
        ),
    ),
    "ciphertext": Target(
        _ciphertext, (BadCiphertext,), (seal_message(_KEY, _ARN, b"x", {}), seal_message(_KEY, _ARN, b"", {}))
    ),
    "attestation": Target(
        _attestation,
        (BadAttestation,),
        tuple(
            _ROOT.document(key, {0: bytes(48)}, _MADE, tpm=tpm) for key, tpm in ((None, False), (b"k", True))
        ),
    ),
    "certificate": Target(_certificate, (BadAttestation,), (_ROOT.der,)),
    "key-name": Target(
        _key_name, (AwsError,), (_ARN.encode(), b"alias/a", b"mrk-" + b"0" * 32, _ARN.encode()[-36:])
    ),
    "json": Target(
        _codec("kms", ("Encrypt", "CreateKey", "TagResource", "ReEncrypt", "Decrypt"), "json"),
        (AwsError,),
        _seeds(
            b'{"KeyId": "a", "Plaintext": "eA==", "EncryptionContext": {"a": "b"}, "GrantTokens": ["x"]}',
            b'{"Policy": "{}", "Tags": [{"TagKey": "a", "TagValue": "b"}], "MultiRegion": true, "KeySpec": "X"}',
            b'{"KeyId": "a", "Tags": [{"TagKey": "a", "TagValue": "b"}]}',
            b'{"CiphertextBlob": "AAAA", "DestinationKeyId": "b", "DryRun": true}',
            b'{"CiphertextBlob": "AAAA", "Recipient": {"AttestationDocument": "eA=="}}',
        ),
    ),
    "cbor": Target(
        _codec(
            "cloudwatch", ("PutMetricData", "PutMetricAlarm", "GetMetricStatistics"), "smithy-rpc-v2-cbor"
        ),
        (AwsError,),
        _seeds(
            b"\xa2iNamespaceax\x6aMetricData\x81\xa2jMetricNameamiTimestamp\xc1\x1aeQ\x00\x00",
            b"\xbfiAlarmName\x7faaabffiThreshold\xfb?\xf0\x00\x00\x00\x00\x00\x00\xff",
            b"\xa3iNamespaceaxiStartTime\xc1\x00fPeriod\x18\x3c",
        ),
    ),
    "query": Target(
        _codec("sts", ("AssumeRole", "GetSessionToken"), "query"),
        (AwsError,),
        _seeds(
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fa&RoleSessionName=bob"
            b"&Tags.member.1.Key=a&Tags.member.1.Value=b&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/A&DurationSeconds=900",
            b"Action=GetSessionToken&DurationSeconds=900&SerialNumber=GAHT12345678",
        ),
    ),
    "ec2": Target(
        _codec("ec2", ("RunInstances", "DescribeInstances", "CreateVolume"), "ec2"),
        (AwsError,),
        _seeds(
            b"Action=RunInstances&MinCount=1&MaxCount=2&BlockDeviceMapping.1.Ebs.VolumeSize=8&UserData=eA==",
            b"Action=DescribeInstances&Filter.1.Name=a&Filter.1.Value.1=b&MaxResults=5",
            b"Action=CreateVolume&AvailabilityZone=a&Size=1&Encrypted=true",
        ),
    ),
    "rest-json": Target(
        _codec("guardduty", ("CreateDetector", "CreateFilter", "UpdateDetector"), "rest-json"),
        (AwsError,),
        _seeds(
            b'{"enable": true, "features": [{"name": "S3_DATA_EVENTS", "status": "ENABLED"}], "tags": {"a": "b"}}',
            path=b"/detector",
        )
        + _seeds(
            b"",
            b'{"name": "abc", "findingCriteria": {"criterion": {"a": {"eq": ["x"], "gte": 1}}}, "rank": 1}',
            path=b"/detector/d/filter",
        ),
    ),
    "rest-xml": Target(
        _codec("s3", ("PutBucketLifecycleConfiguration", "DeleteObjects", "PutObjectTagging"), "rest-xml"),
        (AwsError,),
        _seeds(
            b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>a</ID><Status>Enabled'
            b"</Status><Filter><Prefix>a</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>"
            b"</LifecycleConfiguration>",
            b"<Delete><Object><Key>a&amp;b</Key></Object><Quiet>true</Quiet></Delete>",
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            path=b"/bucket/key",
            query=b"lifecycle&tagging&delete",
        ),
    ),
}


def run(target: Target, data: bytes) -> None:
    """One input. Raises Slow, and whatever the target may not raise."""
    if _seconds(target, data) > SLOW_SECONDS:
        # The first time something may have been made that is kept: a codec, a pattern.
        again = _seconds(target, data)
        if again > SLOW_SECONDS:
            raise Slow(f"{again:.1f} s")


def _seconds(target: Target, data: bytes) -> float:
    began = time.process_time()
    with contextlib.suppress(*target.allowed):
        target.check(data)
    return time.process_time() - began


# --- the engines


def with_hypothesis(target: Target, seconds: float) -> int:
    """Inputs made of pieces of good ones; how many were tried. Raises what a target may not raise."""
    import re

    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    tokens = sorted({token for seed in target.seeds for token in re.findall(rb"[\w-]+|[^\w-]", seed)})
    extra = [b"\x00", b"\xff", b"\r\n", b"[" * 2000, b"{" * 2000, b"<a>" * 2000, b"9" * 400, b"-1", b"null", b"1e999",
             b"\xed\xa0\x80", b"&amp;", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"\x9f" * 2000, b"\xc1" * 500]  # fmt: skip
    piece = st.sampled_from(tokens + extra) | st.binary(max_size=8)

    @st.composite
    def inputs(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(target.seeds))
        for _ in range(draw(st.integers(0, 8))):
            at = draw(st.integers(0, len(data)))
            taken = draw(st.sampled_from((0, 0, 1, 2, 5, 20, 100)))
            data = data[:at] + draw(piece) + data[at + taken :]
        return data

    tried = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:

        @settings(
            max_examples=100,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
        )
        @given(data=inputs())
        def some(data: bytes) -> None:
            nonlocal tried
            if time.monotonic() < end:
                tried += 1
                run(target, data)

        some()
    return tried


@contextlib.contextmanager
def _ended_if_it_hangs(seconds: float) -> Iterator[None]:
    """Ends this process, with a traceback, when what is to take so long takes longer by far. It must not outlive its
    block: whoever goes on in this process would be ended by it."""
    faulthandler.dump_traceback_later(seconds + _HANG_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def with_atheris(name: str, seconds: float) -> int:
    """In a process of its own, which atheris ends; its exit status."""
    return subprocess.run(
        [sys.executable, __file__, "--atheris-child", name, "--seconds", str(seconds)], check=False
    ).returncode


def _atheris_child(name: str, seconds: float) -> None:
    import tempfile
    from pathlib import Path

    # By name: it is no dependency, and has no types.
    atheris: Any = importlib.import_module("atheris")
    target = TARGETS[name]
    corpus = Path(tempfile.mkdtemp(prefix="casemate-fuzz-"))
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)
    atheris.instrument_all()
    options = [f"-max_total_time={int(seconds)}", f"-timeout={_HANG_SECONDS}", "-max_len=4096", "-verbosity=0",
               f"-artifact_prefix={corpus}/", "-print_final_stats=1"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: run(target, data))
    atheris.Fuzz()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Feed the parsers with arbitrary bytes.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them unless given")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default: 60)")
    parser.add_argument("--engine", choices=("atheris", "hypothesis"), help="atheris where it is installed")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--atheris-child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(TARGETS))
        return 0
    if options.atheris_child:
        _atheris_child(options.atheris_child, options.seconds)
        return 0
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "hypothesis")
    found = 0
    for name in options.targets or TARGETS:
        if engine == "atheris":
            status = with_atheris(name, options.seconds)
            print(f"{name}: {'nothing found' if status == 0 else 'FOUND, see above'}", flush=True)
            found += status != 0
            continue
        try:
            with _ended_if_it_hangs(options.seconds):
                tried = with_hypothesis(TARGETS[name], options.seconds)
            print(f"{name}: {tried} inputs, nothing found", flush=True)
        except Exception as finding:
            found += 1
            notes = " ".join(getattr(finding, "__notes__", ()))
            print(f"{name}: FOUND {type(finding).__name__}: {finding} {notes}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
