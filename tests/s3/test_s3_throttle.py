"""KMS's request quotas, which S3's calls count against."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from server_support import running_server


def test_throttled_kms_is_s3s_error(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "casemate.toml").write_text('[quotas]\n"kms:CryptographicOperationsSymmetric" = 2\n')
    with running_server(tmp_path, "--dev") as server:
        client = server.client("s3")
        client.create_bucket(Bucket="busy")

        def put_many() -> None:
            for _ in range(50):
                client.put_object(Bucket="busy", Key="k", Body=b"x", ServerSideEncryption="aws:kms")

        with pytest.raises(ClientError) as caught:
            put_many()
        assert caught.value.response["Error"]["Code"] == "SlowDown"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
