"""Blobs in a SeaweedFS of three nodes, one of which is lost."""

from __future__ import annotations

import os
from pathlib import Path

from seaweed_support import own_cluster, settings
from server_support import running_server


def test_reads_go_on_when_a_node_is_lost(tmp_path: Path) -> None:
    content = {f"{number}": os.urandom(300_000) for number in range(8)}
    with own_cluster() as cluster:
        cluster.client().create_bucket(Bucket="blobs")
        with running_server(tmp_path, "--dev", env=settings(cluster.endpoint, "blobs")) as server:
            client = server.client("s3")
            client.create_bucket(Bucket="here")
            for key, body in content.items():
                client.put_object(Bucket="here", Key=key, Body=body)
            # They are there, and not in files.
            assert len(cluster.client().list_objects_v2(Bucket="blobs")["Contents"]) == len(content)
            assert not list((server.data / "blobs").glob("??/*"))
            cluster.kill(1)
            for key, body in content.items():
                assert client.get_object(Bucket="here", Key=key)["Body"].read() == body
                part = client.get_object(Bucket="here", Key=key, Range="bytes=200000-200009")["Body"].read()
                assert part == body[200_000:200_010]
