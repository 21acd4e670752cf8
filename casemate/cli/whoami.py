"""``casemate whoami``"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from casemate.cli.shell_clients import ShellClients


def whoami(options: argparse.Namespace) -> int:
    """Ask the server who the shell's AWS credentials are, or else the administrator's."""
    clients = ShellClients(options)
    with clients.asking():
        answer: Mapping[str, str] = clients.client("sts").get_caller_identity()
        key_id = clients.access_key_id
    shown = {
        "arn": answer["Arn"],
        "account": answer["Account"],
        "user id": answer["UserId"],
        "kind": _kind(answer["Arn"]),
        "access key": key_id,
        "from": "the shell's AWS settings" if clients.own else "the administrator's credentials",
        "endpoint": clients.endpoint,
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
