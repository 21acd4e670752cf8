"""References to secrets of Secrets Manager: /aws/reference/secretsmanager/ID, where a parameter's name is wanted. The
secret is asked for as the caller, who needs secretsmanager:GetSecretValue besides.

Source: "Referencing AWS Secrets Manager secrets from Parameter Store parameters".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from casemate.api import secretsmanager
from casemate.errors import AwsError
from casemate.services.ssm.naming import SECRETS
from casemate.services.ssm.refusals import invalid

if TYPE_CHECKING:
    from casemate.api import ssm
    from casemate.gate.call import Call

# Secrets Manager's own version ids; a selector of another form is a staging label.
_VERSION = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def read_secret(call: Call, name: str, selector: str, decryption: bool) -> ssm.Parameter:
    """The secret that a reference means, as a SecureString of the version 0. selector: of its version or staging
    label, '' for the current one. Raises ValidationException without decryption; ParameterNotFound;
    UnsupportedParameterType for a binary secret."""
    if not decryption:
        raise invalid("WithDecryption flag must be True for retrieving a Secret Manager secret.")
    asked: dict[str, Any] = {"SecretId": name.removeprefix(SECRETS)}
    if selector:
        asked["VersionId" if _VERSION.fullmatch(selector) else "VersionStage"] = selector
    try:
        secret = secretsmanager.GetSecretValue.ask(call, asked, via="ssm")  # type: ignore[arg-type]
    except AwsError as error:
        raise _passed_on(name, error) from None
    if "SecretString" not in secret:
        raise AwsError(
            "UnsupportedParameterType", f"The secret {name} is binary, which is not supported for parameters."
        )
    assert "ARN" in secret
    assert "CreatedDate" in secret
    answer: ssm.Parameter = {
        "Name": name,
        "Type": "SecureString",
        "Value": secret["SecretString"],
        "Version": 0,
        "SourceResult": _source(secret),
        "LastModifiedDate": secret["CreatedDate"],
        "ARN": secret["ARN"],
        "DataType": "text",
    }
    if selector:
        answer["Selector"] = f":{selector}"
    return answer


def _source(secret: secretsmanager.GetSecretValueResponse) -> str:
    """Secrets Manager's own answer."""
    return json.dumps(secret, default=lambda moment: moment.isoformat(timespec="milliseconds"))


def _passed_on(name: str, error: AwsError) -> AwsError:
    """Secrets Manager's refusal, in Parameter Store's words."""
    if error.code == "ResourceNotFoundException":
        return AwsError(
            "ParameterNotFound",
            f"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {name} not found.",
        )
    if error.code in ("InvalidParameterException", "InvalidRequestException", "ValidationException"):
        return invalid(f"An error occurred ({error.code}) when referencing Secrets Manager: {error.message}")
    return error
