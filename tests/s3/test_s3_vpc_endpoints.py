"""Networks that stand for VPC endpoints: what policies, access points and the audit tell of requests from there."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from s3_support import ACCOUNT, S3, new_name, refused, s3_server
from server_support import casemate
from test_s3_object_access import objects, presigning
from test_s3_policies import put

from casemate.gate.vpc_endpoints import VpcEndpoints
from casemate.server.config_endpoints import endpoints

INSIDE = "127.0.0.1"
ENDPOINTS = {
    "vpce-0a": {"vpc": "vpc-0a", "networks": [INSIDE]},
    "vpce-0b": {"networks": ["127.0.0.3", "10.0.0.0/8"]},
}


@pytest.fixture(scope="module")
def vpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server that takes this machine's address for a VPC's."""
    variables = {"CASEMATE_VPC_ENDPOINTS": json.dumps(ENDPOINTS)}
    with s3_server(tmp_path_factory.mktemp("vpc"), variables) as running:
        yield running


def status_from(address: str, url: str) -> int:
    """The answer's status to a request from that address of this machine."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=30, source_address=(address, 0)
    )
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-0a"}}, {"127.0.0.2", "127.0.0.3"}),
        ({"StringEquals": {"aws:SourceVpce": "vpce-0b"}}, {"127.0.0.3"}),
        ({"StringNotEquals": {"aws:SourceVpc": "vpc-0a"}}, {"127.0.0.2", "127.0.0.3"}),
        ({"Null": {"aws:SourceVpc": "true"}}, {"127.0.0.2", "127.0.0.3"}),
        ({"IpAddress": {"aws:VpcSourceIp": "127.0.0.0/8"}}, {INSIDE, "127.0.0.3"}),
        # Behind an endpoint there is no public address.
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {"127.0.0.2"}),
    ],
)
def test_policies_tell_where_requests_come_from(vpc: S3, condition: dict[str, Any], denied: set[str]) -> None:
    bucket = vpc.bucket()
    vpc.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    put(vpc, bucket, objects(bucket, "s3:GetObject", Effect="Deny", Condition=condition))
    url = presigning(vpc).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    for address in (INSIDE, "127.0.0.2", "127.0.0.3"):
        assert status_from(address, url) == (403 if address in denied else 200), address


def test_the_audit_tells_the_endpoint(vpc: S3) -> None:
    bucket = vpc.bucket()
    shown = casemate("audit", "tail", "--json", "-n", "all", "--data", str(vpc.server.data))
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    (made,) = [each for each in records if (each["requestParameters"] or {}).get("bucketName") == bucket]
    assert made["vpcEndpointId"] == "vpce-0a"


def test_access_points_of_a_vpc(vpc: S3) -> None:
    bucket, control = vpc.bucket(), vpc.control()
    vpc.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    made = {}
    for network in ("vpc-0a", "vpc-0c"):
        name = f"p{new_name()[2:20]}"
        named = {"AccountId": ACCOUNT, "Name": name}
        made[network] = control.create_access_point(
            **named, Bucket=bucket, VpcConfiguration={"VpcId": network}
        )
        found = control.get_access_point(**named)
        assert (found["NetworkOrigin"], found["VpcConfiguration"]) == ("VPC", {"VpcId": network})
        # A network's is not public, whatever its policy says.
        arn = made[network]["AccessPointArn"]
        everybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"{arn}/object/*",
            "Condition": {"StringEquals": {"s3:AccessPointNetworkOrigin": "VPC"}},
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
        control.put_access_point_policy(**named, Policy=document)
        assert control.get_access_point_policy_status(**named)["PolicyStatus"] == {"IsPublic": False}
    listed = control.list_access_points(AccountId=ACCOUNT, Bucket=bucket)["AccessPointList"]
    assert {each["VpcConfiguration"]["VpcId"] for each in listed} == {"vpc-0a", "vpc-0c"}
    alias = made["vpc-0a"]["Alias"]
    assert vpc.of().get_object(Bucket=alias, Key="k")["Body"].read() == b"1"
    with refused("AccessDenied", status=403):
        vpc.of().get_object(Bucket=made["vpc-0c"]["Alias"], Key="k")
    url = presigning(vpc).generate_presigned_url("get_object", Params={"Bucket": alias, "Key": "k"})
    assert [status_from(each, url) for each in (INSIDE, "127.0.0.2", "127.0.0.3")] == [200, 403, 403]


def test_the_narrowest_network_is_meant() -> None:
    found = VpcEndpoints(
        endpoints(
            {
                "vpce-1": {"networks": ["10.0.0.0/8", "fd00::/8"]},
                "vpce-2": {"vpc": "vpc-2", "networks": ["10.1.0.0/16"]},
            }
        )
    )
    names = {"10.1.2.3": "vpce-2", "10.2.0.1": "vpce-1", "::ffff:10.1.0.1": "vpce-2", "fd00::1": "vpce-1"}
    for address, name in names.items():
        endpoint = found.of_address(address)
        assert endpoint is not None
        assert endpoint.id == name
    for address in ("11.0.0.1", "::1", "kms.amazonaws.com", ""):
        assert found.of_address(address) is None


@pytest.mark.parametrize(
    "table",
    [
        {"vpc-1": {"networks": ["10.0.0.0/8"]}},
        {"vpce-1": {}},
        {"vpce-1": {"networks": []}},
        {"vpce-1": {"networks": "10.0.0.0/8"}},
        {"vpce-1": {"networks": ["10.0.0.1/8"]}},
        {"vpce-1": {"networks": ["x"]}},
        {"vpce-1": {"networks": [1]}},
        {"vpce-1": {"networks": ["10.0.0.0/8"], "vpc": "vpce-1"}},
        {"vpce-1": {"networks": ["10.0.0.0/8"], "more": 1}},
        {"vpce-1": {"networks": ["10.0.0.0/8"]}, "vpce-2": {"networks": ["10.0.0.0/8"]}},
        {"vpce-1": "10.0.0.0/8"},
    ],
)
def test_tables_that_are_none(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        endpoints(table)
