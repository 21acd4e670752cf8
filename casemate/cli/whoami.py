"""``casemate whoami``"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from casemate.cli.env import variables
from casemate.cli.problems import CommandError
from casemate.cli.settings import settings

_OWN = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Where a shell has credentials of its own."""


def whoami(options: argparse.Namespace) -> int:
    """Ask the server who the shell's AWS credentials are, or else the administrator's."""
    # Here, because botocore is slow to import.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    own = bool(options.profile) or any(os.environ.get(name) for name in _OWN)
    endpoint, authority = os.environ.get("AWS_ENDPOINT_URL"), None
    keys: dict[str, Any] = {}
    if endpoint is None or not own:
        found = variables(settings(options), tls=False)
        endpoint, authority = found["AWS_ENDPOINT_URL"], found.get("AWS_CA_BUNDLE")
        if not own:
            keys = {
                "aws_access_key_id": found["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
            }
    try:
        session = Session(profile=options.profile)
        region = session.get_config_variable("region") or "us-east-1"
        client: Any = session.create_client(
            "sts",
            region_name=region,
            endpoint_url=endpoint,
            verify=authority,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30),
            **keys,
        )
        answer: Mapping[str, str] = client.get_caller_identity()
        used: Any = session.get_credentials()
        key_id = keys.get("aws_access_key_id") or used.get_frozen_credentials().access_key
    except ClientError as error:
        reason = error.response.get("Error", {}).get("Message", "")
        raise CommandError(f"{endpoint} refuses: {reason}") from None
    except BotoCoreError as error:
        raise CommandError(f"{endpoint} cannot be asked: {error}") from None
    shown = {
        "arn": answer["Arn"],
        "account": answer["Account"],
        "user id": answer["UserId"],
        "kind": _kind(answer["Arn"]),
        "access key": key_id,
        "from": "the shell's AWS settings" if own else "the administrator's credentials",
        "endpoint": endpoint,
    }
    if options.json:
        print(json.dumps({name.replace(" ", "_"): value for name, value in shown.items()}))
    else:
        for name, value in shown.items():
            print(f"{name:<12}{value}")
    return 0


def _kind(arn: str) -> str:
    resource = arn.split(":", 5)[5]
    kinds = {
        "root": "root user",
        "user": "user",
        "assumed-role": "session of a role",
        "federated-user": "federated user",
    }
    return kinds.get(resource.partition("/")[0], "unknown")
