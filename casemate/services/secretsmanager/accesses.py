"""When secrets and their versions were last read, out of the audit, to the day, as AWS tells it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from casemate.gate.observing import Gathered, Observer
from casemate.services.secretsmanager.naming import parse_secret_name
from casemate.services.secretsmanager.secrets import domain
from casemate.store.database import Tx


def _see(event: Mapping[str, Any], gathered: Gathered) -> None:
    """What opened the value tells the version, by the encryption context; a client cannot claim to be a service."""
    if event["eventName"] != "Decrypt" or "errorCode" in event:
        return
    if event["userIdentity"].get("invokedBy") == "secretsmanager.amazonaws.com":
        context = event["requestParameters"]["encryptionContext"]
        gathered[context["SecretARN"], context["SecretVersionId"]] = (event["eventTime"],)


def _keep(tx: Tx, gathered: Gathered) -> None:
    for (arn, version_id), (moment,) in gathered.items():
        name = parse_secret_name(arn)
        day = datetime.combine(datetime.fromisoformat(moment).date(), time(), UTC).timestamp()
        place = (name.account, name.region, name.name)
        if tx.run(
            "UPDATE secrets SET accessed = ? WHERE account = ? AND region = ? AND name = ? AND suffix = ? "
            "AND accessed < ?",
            (day, *place, name.suffix, day),
        ):
            tx.bump(domain(name.name))
        tx.run(
            "UPDATE secret_versions SET accessed = ? WHERE account = ? AND region = ? AND name = ? AND id = ? "
            "AND accessed < ?",
            (day, *place, version_id, day),
        )


OBSERVER = Observer(_see, _keep)
