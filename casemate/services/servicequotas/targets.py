"""What Service Quotas' operations act on, and how its lists come in pages."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.quotas import Quota, ServiceQuotas
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.servicequotas.values import Values

T = TypeVar("T")

_LARGEST_PAGE = 100


def no_such(text: str) -> AwsError:
    return AwsError("NoSuchResourceException", text)


def illegal(text: str) -> AwsError:
    return AwsError("IllegalArgumentException", text)


class Everything(Resource):
    """For operations on no particular resource: "*" in policies."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return request.get("ServiceCode") if key == "servicequotas:service" else None


def everything(call: Call, request: Mapping[str, Any]) -> Everything:
    return Everything("*", call.account)


def quota_arn(region: str, account: str, service: str, code: str) -> str:
    """account: '' for AWS's defaults."""
    return f"arn:{partition_of(region)}:servicequotas:{region}:{account}:{service}/{code}"


class QuotaTarget(Resource):
    """A quota as policies see it. quota: absent where there is none; then ``missing`` is set."""

    __slots__ = ("quota", "service")
    quota: Quota
    service: str

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        if key.startswith("aws:requesttag/"):
            name = key.removeprefix("aws:requesttag/")
            return next(
                (str(tag["Value"]) for tag in request.get("Tags", ()) if tag["Key"].lower() == name), None
            )
        if key == "aws:tagkeys":
            return (*(tag["Key"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())) or None
        return self.service if key == "servicequotas:service" else None


def _target(call: Call, service: str, code: str) -> QuotaTarget:
    target = QuotaTarget(quota_arn(call.region, call.account, service, code), call.account)
    target.service = service
    try:
        target.quota = quota_of(call, service, code)
    except AwsError as error:
        target.missing = error
    return target


def named_quota(call: Call, request: Mapping[str, Any]) -> QuotaTarget:
    """ServiceCode and QuotaCode."""
    return _target(call, request["ServiceCode"], request["QuotaCode"])


def tagged_quota(call: Call, request: Mapping[str, Any]) -> QuotaTarget:
    """ResourceARN: the caller's own quota in the Region."""
    arn: str = request["ResourceARN"]
    prefix = quota_arn(call.region, call.account, "", "")[:-1]
    service, slash, code = arn.removeprefix(prefix).partition("/")
    if not arn.startswith(prefix) or not slash:
        absent = QuotaTarget(arn, call.account, missing=no_such("The specified resource does not exist."))
        absent.service = ""
        return absent
    return _target(call, service, code)


def service_of(call: Call, code: str) -> ServiceQuotas:
    """Raises NoSuchResourceException."""
    service = call.part(Values).services.get(code)
    if service is None:
        raise no_such("The request failed because the specified service does not exist.")
    return service


def quotas_in(call: Call, service: ServiceQuotas) -> list[Quota]:
    """The service's quotas in the call's Region: those of a global service are in one alone."""
    return [quota for quota in service.quotas if quota.region in ("", call.region)]


def quota_of(call: Call, service: str, code: str) -> Quota:
    """Raises NoSuchResourceException."""
    service_of(call, service)
    quota = call.part(Values).find(service, code)
    if quota is None or quota.region not in ("", call.region):
        raise no_such("The request failed because the specified quota does not exist.")
    return quota


class Page(NamedTuple):
    """Which part of a list a request asks for. after: the last entry's name on the page before, '' at first."""

    operation: str
    limit: int
    after: str

    def cut(self, entries: list[T], name: Callable[[T], str]) -> tuple[list[T], dict[str, Any]]:
        """The page's entries out of one more than its limit, if there are more; and the token that tells."""
        if len(entries) <= self.limit:
            return entries, {}
        shown = entries[: self.limit]
        return shown, {"NextToken": _token(self.operation, name(shown[-1]))}


def page_of(operation: str, request: Mapping[str, Any]) -> Page:
    """operation: whose tokens are taken, no other's. Raises InvalidPaginationTokenException."""
    after = ""
    token = request.get("NextToken")
    if token is not None:
        try:
            of, _, after = b64decode(token.encode("ascii"), validate=True).decode().partition("\n")
        except (Base64Error, UnicodeError):
            of = ""
        if of != operation or not after or "\0" in after or _token(operation, after) != token:
            raise AwsError("InvalidPaginationTokenException", "Invalid token was provided.")
    return Page(operation, request.get("MaxResults", _LARGEST_PAGE), after)


def _token(operation: str, after: str) -> str:
    return b64encode(f"{operation}\n{after}".encode()).decode()
