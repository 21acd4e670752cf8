"""Reports of when services were last accessed, by a real client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from iam_support import (
    ACCOUNT,
    ADMIN,
    ADMINISTRATOR_ACCESS,
    OTHER_ACCOUNT,
    STRANGER,
    Iam,
    arn,
    denied,
    iam_server,
    name,
    pages,
    policy,
    trust,
)
from server_support import casemate, refused

from casemate.api import reference
from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.keyring import Keyring
from casemate.gate.observing import Gathered
from casemate.server.composition import MIGRATIONS
from casemate.services.iam.accesses import OBSERVER, Access, accesses_of
from casemate.services.iam.entities import Role, User
from casemate.services.iam.service_names import SERVICE_NAMES
from casemate.services.iam.store import Entities
from casemate.store.database import Tx, open_store


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Iam]:
    with iam_server(tmp_path) as running:
        yield running


def made(iam: Iam, subject: str, **more: Any) -> str:
    job: str = iam.admin.generate_service_last_accessed_details(Arn=subject, **more)["JobId"]
    assert str(uuid.UUID(job)) == job
    return job


def services(iam: Iam, subject: str, **more: Any) -> dict[str, Any]:
    """A new report's services, by namespace."""
    found = iam.admin.get_service_last_accessed_details(JobId=made(iam, subject, **more))
    assert found["JobStatus"] == "COMPLETED"
    assert found["JobCompletionDate"] == found["JobCreationDate"]
    return {each["ServiceNamespace"]: each for each in found["ServicesLastAccessed"]}


def entities(iam: Iam, job: str, service: str) -> list[Any]:
    found = iam.admin.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace=service)
    assert (found["JobStatus"], found["IsTruncated"]) == ("COMPLETED", False)
    details: list[Any] = found["EntityDetailsList"]
    return details


def advance(iam: Iam, by: str) -> None:
    assert casemate("clock", "--data", str(iam.server.data), "--advance", by).returncode == 0


def test_a_user_and_attempts_that_were_refused(iam: Iam) -> None:
    user = iam.user(policy("kms:ListKeys", "sts:*"), Path="/team/")
    who = arn("user", f"team/{user}")
    key = iam.key(user)
    assert services(iam, who) == {
        "kms": {
            "ServiceName": "AWS Key Management Service",
            "ServiceNamespace": "kms",
            "TotalAuthenticatedEntities": 0,
        },
        "sts": {
            "ServiceName": "AWS Security Token Service",
            "ServiceNamespace": "sts",
            "TotalAuthenticatedEntities": 0,
        },
    }
    kms = iam.client("kms", key, region="eu-west-1")
    with refused("AccessDeniedException", status=400):
        kms.create_key()
    with refused("AccessDenied", status=403):
        iam.client("iam", key).list_users()
    found = services(iam, who)
    assert set(found) == {"kms", "sts"}, "what no policy allows is not told"
    assert isinstance(found["kms"].pop("LastAuthenticated"), datetime)
    assert found["kms"] == {
        "ServiceName": "AWS Key Management Service",
        "ServiceNamespace": "kms",
        "LastAuthenticatedEntity": who,
        "LastAuthenticatedRegion": "eu-west-1",
        "TotalAuthenticatedEntities": 1,
    }
    assert "LastAuthenticated" not in found["sts"]
    found = services(iam, who, Granularity="ACTION_LEVEL")
    told = found["kms"]["TrackedActionsLastAccessed"]
    assert [each["ActionName"] for each in told] == ["CreateKey", "ListKeys"]
    assert told[0]["LastAccessedTime"] == found["kms"]["LastAuthenticated"]
    assert (told[0]["LastAccessedEntity"], told[0]["LastAccessedRegion"]) == (who, "eu-west-1")
    assert told[1] == {"ActionName": "ListKeys"}
    assert "TrackedActionsLastAccessed" not in found["sts"], "none was tried"


def test_the_sessions_of_a_role_and_of_a_user_are_theirs(iam: Iam) -> None:
    role = iam.role(AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    iam.admin.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy("kms:*"))
    user = iam.user(policy("kms:*"))
    sts = iam.client("sts", ADMIN)
    of_role = sts.assume_role(RoleArn=arn("role", role), RoleSessionName="session")["Credentials"]
    of_user = iam.client("sts", iam.key(user)).get_session_token()["Credentials"]
    for given in (of_role, of_user):
        session: Any = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="us-east-1"
        )
        session.client("kms", endpoint_url=iam.server.endpoint).list_keys()
    for who in (arn("role", role), arn("user", user)):
        assert services(iam, who)["kms"]["LastAuthenticatedEntity"] == who
    (detail,) = entities(iam, made(iam, arn("role", role)), "kms")
    assert detail["EntityInfo"] == {
        "Arn": arn("role", role),
        "Name": role,
        "Type": "ROLE",
        "Id": iam.admin.get_role(RoleName=role)["Role"]["RoleId"],
        "Path": "/",
    }


def test_groups_and_policies_tell_of_those_who_have_them(fresh: Iam) -> None:
    group, shared = fresh.group(), fresh.managed("kms:List*")
    fresh.admin.attach_group_policy(GroupName=group, PolicyArn=shared)
    users = [fresh.user() for _ in range(3)]
    for user in users:
        fresh.admin.add_user_to_group(GroupName=group, UserName=user)
    role = fresh.role()
    fresh.admin.attach_role_policy(RoleName=role, PolicyArn=shared)
    for user in (users[2], users[0]):
        fresh.client("kms", fresh.key(user)).list_keys()
        advance(fresh, "60s")
    for subject, others in (
        (arn("group", group), [arn("user", users[1])]),
        (shared, [arn("role", role), arn("user", users[1])]),
    ):
        job = made(fresh, subject)
        (kms,) = fresh.admin.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
        assert (kms["LastAuthenticatedEntity"], kms["TotalAuthenticatedEntities"]) == (
            arn("user", users[0]),
            2,
        )
        details = entities(fresh, job, "kms")
        latest = [arn("user", users[0]), arn("user", users[2])]
        assert [each["EntityInfo"]["Arn"] for each in details] == latest + others
        assert details[0]["LastAuthenticated"] == kms["LastAuthenticated"] > details[1]["LastAuthenticated"]
        assert "LastAuthenticated" not in details[2]
        assert entities(fresh, job, "sts") == []
        listed = pages(
            fresh.admin.get_service_last_accessed_details_with_entities,
            "EntityDetailsList",
            JobId=job,
            ServiceNamespace="kms",
        )
        assert [each for page in listed for each in page] == details
    fresh.admin.remove_user_from_group(GroupName=group, UserName=users[0])
    assert services(fresh, arn("group", group))["kms"]["LastAuthenticatedEntity"] == arn("user", users[2])


def test_all_services_in_pages(iam: Iam) -> None:
    iam.admin.list_users()
    job = made(iam, ADMINISTRATOR_ACCESS, Granularity="ACTION_LEVEL")
    listed = pages(iam.admin.get_service_last_accessed_details, "ServicesLastAccessed", size=3, JobId=job)
    assert {len(page) for page in listed[:-1]} == {3}
    found = [each["ServiceNamespace"] for page in listed for each in page]
    assert found == list(reference.prefixes())
    assert all(reference.actions(service) for service in found)
    assert iam.admin.get_service_last_accessed_details(JobId=job)["JobType"] == "ACTION_LEVEL"
    (of_iam,) = [each for page in listed for each in page if each["ServiceNamespace"] == "iam"]
    assert of_iam["LastAuthenticatedEntity"] == arn("user", "admin")
    with refused("ValidationError"):
        iam.admin.get_service_last_accessed_details(JobId=job, Marker="x")


def test_a_report_is_kept_for_a_week_and_an_access_is_told_for_400_days(fresh: Iam) -> None:
    user = fresh.user(policy("kms:*"))
    fresh.client("kms", fresh.key(user)).list_keys()
    job = made(fresh, arn("user", user))
    advance(fresh, "167h")
    (kms,) = fresh.admin.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
    assert kms["TotalAuthenticatedEntities"] == 1
    advance(fresh, "2h")
    with refused("NoSuchEntity", f"Job {job} is not found.", 404):
        fresh.admin.get_service_last_accessed_details(JobId=job)
    assert services(fresh, arn("user", user))["kms"]["LastAuthenticated"] == kms["LastAuthenticated"]
    advance(fresh, "9600h")
    assert services(fresh, arn("user", user))["kms"]["TotalAuthenticatedEntities"] == 0


def test_another_user_of_a_name_begins_anew(iam: Iam) -> None:
    user = iam.user(policy("kms:*"))
    key = iam.key(user)
    iam.client("kms", key).list_keys()
    assert services(iam, arn("user", user))["kms"]["TotalAuthenticatedEntities"] == 1
    iam.client("kms", key).list_keys()
    iam.admin.delete_access_key(UserName=user, AccessKeyId=key.id)
    iam.admin.delete_user_policy(UserName=user, PolicyName="p0")
    iam.admin.delete_user(UserName=user)
    with refused("NoSuchEntity", f"The user with name {user} cannot be found.", 404):
        iam.admin.generate_service_last_accessed_details(Arn=arn("user", user))
    iam.admin.create_user(UserName=user)
    iam.admin.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy("kms:*"))
    assert services(iam, arn("user", user))["kms"]["TotalAuthenticatedEntities"] == 0


def test_what_is_refused(iam: Iam) -> None:
    admin = iam.admin
    for subject in (arn("user", "stranger", OTHER_ACCOUNT), arn("mfa", "x"), "arn:aws:kms:us-east-1:x:key/1"):
        with refused("InvalidInput", status=400):
            admin.generate_service_last_accessed_details(Arn=subject)
    elsewhere = arn("policy", "theirs", OTHER_ACCOUNT)
    action = "iam:GenerateServiceLastAccessedDetails"
    with refused("AccessDenied", status=403):
        admin.generate_service_last_accessed_details(Arn=elsewhere)
    missing = arn("policy", name("absent"))
    with refused("NoSuchEntity", f"Policy {missing} was not found.", 404):
        admin.generate_service_last_accessed_details(Arn=missing)
    user = iam.user(policy(action, resource=arn("role", "*")), policy("iam:GetServiceLast*"))
    client = iam.client("iam", iam.key(user))
    for subject in (arn("user", "admin"), arn("user", "absent")):
        with refused("AccessDenied", denied(arn("user", user), action, subject), 403):
            client.generate_service_last_accessed_details(Arn=subject)
    own = client.generate_service_last_accessed_details(Arn=arn("role", iam.role()))["JobId"]
    assert client.get_service_last_accessed_details(JobId=own)["ServicesLastAccessed"] == []
    for other in (admin, iam.client("iam", STRANGER)):
        with refused("NoSuchEntity", f"Job {own} is not found.", 404):
            other.get_service_last_accessed_details(JobId=own)
        with refused("NoSuchEntity", f"Job {own} is not found.", 404):
            other.get_service_last_accessed_details_with_entities(JobId=own, ServiceNamespace="kms")
    bare = iam.user()
    for operation, request in (
        ("get_service_last_accessed_details", {}),
        ("get_service_last_accessed_details_with_entities", {"ServiceNamespace": "kms"}),
    ):
        with refused("AccessDenied", status=403):
            getattr(iam.client("iam", iam.key(bare)), operation)(JobId=own, **request)


def event(who: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "userIdentity": {"accountId": ACCOUNT, **who},
        "eventTime": "2026-11-25T13:00:00Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "Encrypt",
        "awsRegion": "eu-west-1",
        "recipientAccountId": ACCOUNT,
        **more,
    }


def test_whose_accesses_are_kept(database: str) -> None:
    store = open_store(database, migrations=MIGRATIONS)
    keyring = Keyring(RootKey(bytes(32)))
    user = User(account=ACCOUNT, name="u", id="AIDAUSER", created=0.0)
    role = Role(account=ACCOUNT, name="r", id="AROAROLE", created=0.0, trust="{}")

    def make(tx: Tx) -> None:
        for each in (user, role):
            Entities(keyring).add(tx, each)

    def kept(*events: dict[str, Any]) -> dict[str, list[Access]]:
        gathered: Gathered = {}
        for each in events:
            OBSERVER.see(each, gathered)
        store.write(lambda tx: OBSERVER.keep(tx, gathered))
        ids = (user.id, role.id, ACCOUNT, "AIDAGONE")
        return {each: store.read(lambda tx, each=each: accesses_of(tx, ACCOUNT, each, now)) for each in ids}  # type: ignore[misc]

    try:
        store.write(make)
        now = datetime(2026, 11, 25, 13, tzinfo=UTC).timestamp()
        session = {"sessionIssuer": {"principalId": role.id}}
        federated = {"sessionIssuer": {"principalId": user.id}, "attributes": {}}
        by_user = {"principalId": user.id}
        found = kept(
            event(by_user, errorCode="AccessDeniedException"),
            event({"principalId": f"{role.id}:name", "sessionContext": session}),
            event({"principalId": f"{ACCOUNT}:name", "sessionContext": federated}, eventName="Sign"),
            event({"principalId": ACCOUNT, "sessionContext": {"attributes": {}}}),
            event({"principalId": "AIDAGONE"}),
            event(by_user, eventName="Copied", recipientAccountId=OTHER_ACCOUNT),
            {**event({}), "userIdentity": {"type": "WebIdentityUser", "principalId": "x"}},
        )
        encrypted = Access("kms", "Encrypt", now, "eu-west-1")
        assert found == {
            user.id: [encrypted, Access("kms", "Sign", now, "eu-west-1")],
            role.id: [encrypted],
            ACCOUNT: [encrypted],
            "AIDAGONE": [],
        }
        earlier = event(by_user, eventTime="2026-11-25T12:00:00Z", awsRegion="us-east-1")
        assert kept(earlier)[user.id][0] == encrypted, "another machine's may come late"
        later = event(by_user, eventTime="2026-11-25T14:00:00Z", awsRegion="us-east-1")
        assert kept(later)[user.id][0] == Access("kms", "Encrypt", now + 3600, "us-east-1")
        store.write(lambda tx: Entities(keyring).remove(tx, user))
        found = kept(event(by_user))
        assert (found[user.id], found[role.id]) == ([], [encrypted])
    finally:
        store.close()


def test_every_service_of_the_reference_has_a_name() -> None:
    assert set(reference.prefixes()) <= set(SERVICE_NAMES)
