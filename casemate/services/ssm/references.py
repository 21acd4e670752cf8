"""References to secrets of Secrets Manager: /aws/reference/secretsmanager/ID, where a parameter's name is wanted.

Source: "Referencing AWS Secrets Manager secrets from Parameter Store parameters".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.services.ssm.refusals import invalid, no_parameter

if TYPE_CHECKING:
    from casemate.api import ssm
    from casemate.gate.call import Call


def read_secret(call: Call, name: str, selector: str, decryption: bool) -> ssm.Parameter:
    """Raises ValidationException without decryption; ParameterNotFound."""
    if not decryption:
        raise invalid("WithDecryption flag must be True for retrieving a Secret Manager secret.")
    raise no_parameter(name)
