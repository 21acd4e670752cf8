"""GetSecretValue, BatchGetSecretValue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import secretsmanager
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.secretsmanager import quotas
from casemate.services.secretsmanager.listing import Listing
from casemate.services.secretsmanager.refusals import invalid_parameter
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.targets import AccountWide, named_secret
from casemate.services.secretsmanager.values import shown

if TYPE_CHECKING:
    from casemate.gate.resource import Resource


@secretsmanager.GetSecretValue.reads(named_secret, quota=quotas.READS)
def get_secret_value(
    call: Call, req: secretsmanager.GetSecretValueRequest, secret: Secret
) -> secretsmanager.GetSecretValueResponse:
    """A version's value: the one with AWSCURRENT unless an id or another staging label is given."""
    secret.must_not_be_deleted()
    answer = shown(secret, secret.wanted_version(req), call)
    if answer is None:
        raise secret.without_value(req)
    return cast("secretsmanager.GetSecretValueResponse", answer)


class _Batch(AccountWide):
    """What a batch is asked of. listed: itself where it is chosen by filters, which is a list's permission."""

    __slots__ = ("listed",)

    listed: Resource | None


def batch(call: Call, request: Mapping[str, Any]) -> _Batch:
    """BatchGetSecretValue's."""
    target = _Batch("*", call.account)
    target.listed = target if "Filters" in request else None
    return target


_MOST = 20


@secretsmanager.BatchGetSecretValue.reads(
    batch,
    Need("secretsmanager:BatchGetSecretValue"),
    Need("secretsmanager:ListSecrets", lambda target: target.listed),
)
def batch_get_secret_value(
    call: Call, req: secretsmanager.BatchGetSecretValueRequest, target: AccountWide
) -> secretsmanager.BatchGetSecretValueResponse:
    """The values of up to 20 secrets, by names or by filters, with an error for each that the caller does not get."""
    if ("SecretIdList" in req) == ("Filters" in req):
        raise invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
    more: dict[str, Any] = {}
    if "Filters" in req:
        found, more = Listing(call, "BatchGetSecretValue", req, most=_MOST).page()
        names = [entry.row.arn for entry in found]
    else:
        if "MaxResults" in req or "NextToken" in req:
            raise invalid_parameter(
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' or 'NextToken' is "
                "provided."
            )
        names = req.get("SecretIdList", [])
    values: list[secretsmanager.SecretValueEntry] = []
    errors: list[secretsmanager.APIErrorType] = []
    for name in names:
        try:
            value = secretsmanager.GetSecretValue.ask(call, {"SecretId": name})
        except AwsError as error:
            errors.append({"SecretId": name, "ErrorCode": error.code, "Message": error.message})
        else:
            values.append(value)
    return cast(
        "secretsmanager.BatchGetSecretValueResponse", {"SecretValues": values, "Errors": errors, **more}
    )
