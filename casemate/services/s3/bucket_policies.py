"""What S3 checks of a bucket policy before it takes it, and what a policy comes to once public access is blocked.
Source: "Bucket policies for Amazon S3", "PutBucketPolicy", "Actions, resources, and condition keys for Amazon S3".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from casemate.api.reference import Action, actions
from casemate.engine.policy import Policy, PolicyError, parse, with_names
from casemate.engine.policy.wildcards import glob
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.s3.public import is_public

MOST_BYTES = 20 * 1024
"""Of a policy without the white space between its tokens."""


class Accepted(NamedTuple):
    """A bucket policy's document; principals: the unique ids of those whom it names, by ARN."""

    policy: str
    principals: Mapping[str, str]


def malformed(text: str) -> AwsError:
    return AwsError("MalformedPolicy", text, 400)


class Kinds(NamedTuple):
    """The types of resources that a policy is about: of what it is attached to, and of what is in that; below: what
    comes between their ARNs."""

    whole: str
    inner: str
    below: str


OF_BUCKETS = Kinds("bucket", "object", "/")
OF_ACCESS_POINTS = Kinds("accesspoint", "accesspointobject", "/object/")


def accepted(call: Call, document: str, arn: str, kinds: Kinds = OF_BUCKETS) -> Accepted:
    """The document, if it may become the policy of the bucket or access point of that ARN. Raises MalformedPolicy,
    also for a policy that names users or roles who do not exist."""
    try:
        compact = json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        compact = document
    if len(compact.encode("utf-8", "replace")) > MOST_BYTES:
        raise AwsError("PolicyTooLarge", "Policy exceeds the maximum allowed document size.", 400)
    try:
        policy = parse(document, "resource")
    except PolicyError as error:
        raise malformed(error.message) from None
    statements = json.loads(document)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        _check(statement, arn, kinds)
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise malformed("Invalid principal in policy")
    return Accepted(document, {arn: unique_id for arn, unique_id in ids.items() if unique_id is not None})


def shown(call: Call, settings: Mapping[str, Any]) -> str:
    """The policy as it was put, but for users and roles who have another ARN by now, or are no more."""
    named: Mapping[str, str] = settings.get("Principals", {})
    document: str = settings["Policy"]
    return with_names(document, call.gate.directory.principal_names(call.tx, named)) if named else document


# --- statements


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check(statement: Mapping[str, Any], arn: str, of: Kinds) -> None:
    """Raises MalformedPolicy for a statement that could never say anything of the resource."""
    resources = _texts(statement.get("Resource")) or _texts(statement.get("NotResource"))
    kinds = {kind for resource in resources for kind in _kinds(resource, arn, of)}
    if "NotResource" in statement:
        kinds = {of.whole, of.inner}
    named = _texts(statement.get("Action"))
    chosen: list[list[Action]] = []
    for pattern in named or _texts(statement.get("NotAction")):
        found = _matching(pattern)
        if not found:
            raise malformed("Policy has invalid action")
        chosen.append(found)
    if not named:
        chosen = [_matching("s3:*")]
    applicable = [[each for each in found if kinds & _kinds_of(each)] for found in chosen]
    if not all(applicable):
        raise malformed("Action does not apply to any resource(s) in statement")
    for key in _condition_keys(statement):
        if not _known_key(key, _matching("s3:*")):
            raise malformed("Policy has an invalid condition key")
        if not all(_known_key(key, found) for found in applicable):
            raise malformed("Conditions do not apply to combination of actions and resources in statement")


def _kinds(resource: str, arn: str, of: Kinds) -> Iterator[str]:
    """Whether a Resource means the whole, objects in it, or both. Raises MalformedPolicy for one that means anything
    else."""
    rest = resource.removeprefix(arn)
    if rest == resource or (rest and not rest.startswith((of.below, "*"))):
        raise malformed("Policy has invalid resource")
    if not rest.startswith(of.below):
        yield of.whole
    if rest:
        yield of.inner


@lru_cache(maxsize=1024)
def _matching_names(pattern: str) -> tuple[str, ...]:
    matches = glob(pattern.lower())
    return tuple(name for name in actions("s3") if matches(f"s3:{name.lower()}"))


def _matching(pattern: str) -> list[Action]:
    known = actions("s3")
    return [known[name] for name in _matching_names(pattern)]


def _kinds_of(action: Action) -> set[str]:
    return {kind.rstrip("*") for kind in action.resources}


_VARIABLE = re.compile(r"(?:\$\{\w+\}|<\w+>)$")


def _known_key(key: str, found: list[Action]) -> bool:
    """Whether one of the actions has the condition key."""
    for action in found:
        for each in action.conditions:
            lowered = each.lower()
            stem = _VARIABLE.sub("", lowered)
            if key == lowered or (stem != lowered and key.startswith(stem)):
                return True
    return False


def _condition_keys(statement: Mapping[str, Any]) -> Iterator[str]:
    """Those of S3's own; all services have AWS's."""
    for tests in statement.get("Condition", {}).values():
        for key in tests:
            if key.lower().startswith("s3:"):
                yield key.lower()


# --- with what is blocked


def effective(settings: Mapping[str, Any], blocked: Mapping[str, bool], account: str) -> Policy | None:
    """The policy that decides. blocked: the public access block of the bucket and its account together.

    While public buckets are restricted, a public policy gives those outside the account nothing, whoever else they
    are, unless they are AWS's services. Raises PolicyError.
    """
    document: str | None = settings.get("Policy")
    if document is None:
        return None
    policy = parse(with_names(document, settings.get("Principals", {})), "resource")
    if blocked.get("RestrictPublicBuckets") and is_public(document):
        restriction = parse(_restriction(account), "resource")
        policy = Policy("resource", policy.version, (*policy.statements, *restriction.statements))
    return policy


def _restriction(account: str) -> str:
    statement = {
        "Sid": "RestrictPublicBuckets",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {
            "StringNotEquals": {"aws:PrincipalAccount": account},
            "Bool": {"aws:PrincipalIsAWSService": "false"},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
