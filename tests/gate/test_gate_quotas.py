"""Request quotas that depend on what a request acts on: counted once it is known, before the caller is authorised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gate_support import BOB, Rig, rig_in

VERSIONS, TAG = "secretsmanager.ListSecretVersionIds", "secretsmanager.TagResource"
TAGS = [{"Key": "a", "Value": "b"}]


@contextmanager
def rig_of(folder: Path, rates: Mapping[str, float], **options: Any) -> Iterator[Rig]:
    """With a toy "red" and a toy "blue", whose values are their names."""
    with rig_in(folder) as rig:
        for name in ("red", "blue"):
            rig.put(name, name)
    with rig_in(folder, rates=rates, **options) as rig:
        yield rig


def codes(rig: Rig, target: str, name: str, times: int, **more: Any) -> list[str]:
    asked = {"SecretId": name, **({"Tags": TAGS} if target == TAG else {})}
    return [rig.json(target, asked, **more).code for _ in range(times)]


@pytest.mark.parametrize("target", [VERSIONS, TAG])
def test_what_counts_follows_from_the_resource(tmp_path: Path, target: str) -> None:
    # Each request counts two times in the other Region: six are three requests.
    with rig_of(tmp_path, {"secretsmanager:Ofred": 6, "secretsmanager:Ofblue": 2}) as rig:
        assert codes(rig, target, "red", 4) == ["", "", "", "ThrottlingException"]
        assert codes(rig, target, "blue", 2) == ["", "ThrottlingException"]
        assert len(rig.toys.ran) == 4


def test_a_transaction_that_runs_again_counts_once(tmp_path: Path) -> None:
    with rig_of(tmp_path, {"secretsmanager:Ofred": 2}, repeat_writes=True) as rig:
        assert codes(rig, TAG, "red", 2) == ["", "ThrottlingException"]
        assert rig.toys.ran == ["TagResource"] * 2


def test_a_read_that_has_to_wait_counts_once(tmp_path: Path) -> None:
    with rig_of(tmp_path, {"secretsmanager:Ofred": 2}) as rig:
        assert codes(rig, VERSIONS, "red", 1) == [""]
        assert rig.waited == 1
        assert codes(rig, VERSIONS, "red", 1) == ["ThrottlingException"]


def test_whoever_may_not_is_throttled_too(tmp_path: Path) -> None:
    with rig_of(tmp_path, {"secretsmanager:Ofred": 2}) as rig:
        assert codes(rig, VERSIONS, "red", 2, user=BOB) == ["AccessDeniedException", "ThrottlingException"]
        assert rig.toys.ran == []


def test_the_refusal_is_audited(tmp_path: Path) -> None:
    with rig_of(tmp_path, {"secretsmanager:Ofred": 0.001}) as rig:
        answer = rig.json(VERSIONS, {"SecretId": "red"})
        assert answer.code == "ThrottlingException"
        assert [each["errorCode"] for each in rig.records_of(answer)] == ["ThrottlingException"]
