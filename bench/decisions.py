"""``python bench/decisions.py``: what a decision of the policy engine costs, in CPU time of this process.

The caller has 20 policies of 50 statements and stands under five levels of service control policies; the resource has
a policy of 50 statements. Three worlds: in "few", 20 of the 1,000 statements are about the action that is asked for,
as where each policy is about many services; in "all", every statement is, each for resources of its own; in "any",
every statement is about the action on any resource, under a condition that hangs on the request, and the last one
allows.
What it prints stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple, TypeVar

from casemate.engine.policy import (
    Attached,
    Decision,
    Kind,
    Policy,
    Principal,
    Question,
    parse,
    principal_keys,
)
from casemate.engine.policy.plan import Plan

ACCOUNT = "111122223333"
ACTION = "s3:GetObject"
BUCKETS = "arn:aws:s3:::bucket-"
STATEMENTS = 50
POLICIES = 20
KEYS = {"aws:securetransport": "true", "aws:sourceip": "10.1.2.3", "aws:requestedregion": "eu-west-1"}

PRINCIPAL = Principal(
    kind="user", arn=f"arn:aws:iam::{ACCOUNT}:user/bob", account=ACCOUNT, id="AIDAEXAMPLEEXAMPLE00"
)
KNOWN = {**principal_keys(PRINCIPAL), "aws:principaltag/team": "blue", "aws:principalorgid": "o-example1234"}


class World(NamedTuple):
    """What the question rests on, but for the resource; resources: an endless row of them."""

    attached: Attached
    resource_policy: Policy


T = TypeVar("T")
Statement = dict[str, object]


def _policy(kind: Kind, statements: list[Statement], name: str) -> Policy:
    # A text of its own for each: the engine compiles the same text once.
    return parse(json.dumps({"Version": "2012-10-17", "Id": name, "Statement": statements}), kind).named(name)


def _few(number: int, at: int) -> Statement:
    service = "s3" if at == 0 else f"service{at}"
    return {
        "Effect": "Allow",
        "Action": f"{service}:Get*",
        "Resource": f"{BUCKETS}{number * STATEMENTS + 1}/*",
    }


def _all(number: int, at: int) -> Statement:
    statement: Statement = {
        "Effect": "Deny" if at % 10 == 9 else "Allow",
        "Action": "s3:Get*" if at % 2 else ["s3:GetObject", "s3:PutObject"],
        "Resource": f"{BUCKETS}{number * STATEMENTS + at}/*",
    }
    if at % 10 == 9:
        statement["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    elif at % 4 == 0:
        statement["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    return statement


def _any(number: int, at: int) -> Statement:
    region = "eu-west-1" if (number, at) == (POLICIES - 1, STATEMENTS - 1) else f"region-{number}-{at}"
    return {
        "Effect": "Allow",
        "Action": "s3:Get*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestedRegion": region}},
    }


def world(statement: Callable[[int, int], Statement], run: str) -> World:
    """run: makes the texts differ from those of other runs."""
    identity = tuple(
        _policy("identity", [statement(number, at) for at in range(STATEMENTS)], f"policy-{number}-{run}")
        for number in range(POLICIES)
    )
    scp: list[Statement] = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Effect": "Deny",
            "NotAction": ["iam:*", "s3:*"],
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}},
        },
    ]
    scps = tuple((_policy("scp", scp, f"level-{level}-{run}"),) for level in range(5))
    shared: list[Statement] = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{444455556600 + at}:root"},
            "Action": "s3:GetObject",
            "Resource": f"{BUCKETS}0/{at}/*",
        }
        for at in range(STATEMENTS - 1)
    ]
    shared.append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": f"{BUCKETS}*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    return World(Attached(identity=identity, scps=scps), _policy("resource", shared, f"bucket-{run}"))


def question(world: World, resource: str) -> Question:
    return Question(PRINCIPAL, world.attached, ACTION, resource, ACCOUNT, world.resource_policy, known=KNOWN)


def _timed(do: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the CPU microseconds that it took."""
    begun = time.process_time_ns()
    result = do()
    return result, (time.process_time_ns() - begun) / 1000


def _resources(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{BUCKETS}{number % POLICIES * STATEMENTS + 1}/photo-{number}.jpg"


class Costs(NamedTuple):
    """CPU microseconds. compile: of all policies; cold: of the first decision of an action, with compiled policies;
    new: of one on another resource; warm: of one on the same."""

    compile: float
    cold: float
    new: float
    warm: float


def measure(statement: Callable[[int, int], Statement], run: str) -> Costs:
    """One round. run: its name, which no other has."""
    gc.collect()
    here, compiled = _timed(lambda: world(statement, run))

    def ask_first() -> tuple[Plan, Decision]:
        asked = question(here, f"{BUCKETS}351/photo.jpg")
        plan = Plan(asked)
        return plan, plan.residual(asked).decide(KEYS.get)

    (plan, first), cold = _timed(ask_first)
    others = [question(here, resource) for resource in _resources(200)]
    plan.residual(others[0])
    decisions, new = _timed(lambda: [plan.residual(each).decide(KEYS.get) for each in others])
    residual = plan.residual(others[7])

    def ask_again() -> None:
        for _ in range(1000):
            if residual.constant is None:
                residual.decide(KEYS.get)

    _, warm = _timed(ask_again)
    if not first.allowed or not all(decision.allowed for decision in decisions):
        raise SystemExit("a decision is not what it should be")
    return Costs(compiled, cold, new / len(others), warm / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the policy engine's decisions.")
    parser.add_argument("--rounds", type=int, default=31, help="(default: 31)")
    rounds = parser.parse_args().rounds
    print("| Statements about the action | compile ms | cold µs | new resource µs | warm µs |")
    print("|---|--:|--:|--:|--:|")
    for name, statement in {"few": _few, "all": _all, "any": _any}.items():
        figures = [measure(statement, str(number)) for number in range(rounds)]
        columns = [
            f"{median(each.compile for each in figures) / 1000:.0f}",
            *(
                f"{median(column):.{digits}f} (at most {max(column):.{digits}f})"
                for column, digits in (
                    ([each.cold for each in figures], 0),
                    ([each.new for each in figures], 1),
                    ([each.warm for each in figures], 2),
                )
            ),
        ]
        print(f"| {name} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
