"""The rules of versions and staging labels, against a plain model of what AWS documents; and of names."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from casemate.services.secretsmanager.labels import (
    CURRENT,
    PENDING,
    PREVIOUS,
    attached,
    by_version,
    detached,
    stages_of,
)
from casemate.services.secretsmanager.naming import new_suffix, parse_secret_name, secret_arn

STAGES = st.sampled_from([CURRENT, PREVIOUS, PENDING, "blue", "green"])


class Versions(RuleBasedStateMachine):
    """model: each version with the set of its labels, moved as the documentation tells it step by step."""

    versions = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, str] = {}
        self.model: dict[str, set[str]] = {}

    def _move(self, stage: str, version: str) -> None:
        for holder in self.model.values():
            holder.discard(stage)
        self.model[version].add(stage)

    def _attach(self, version: str, stages: list[str]) -> None:
        holder = next((each for each, held in self.model.items() if CURRENT in held), None)
        for stage in stages:
            self._move(stage, version)
        if CURRENT in stages and holder is not None and holder != version:
            self._move(PREVIOUS, holder)

    @initialize(target=versions)
    def first(self) -> str:
        self.model["v0"] = set()
        self._attach("v0", [CURRENT])
        self.labels = attached(self.labels, "v0", [CURRENT])
        return "v0"

    @rule(target=versions, stages=st.lists(STAGES, min_size=1, unique=True))
    def put(self, stages: list[str]) -> str:
        version = f"v{len(self.model)}"
        self.model[version] = set()
        self._attach(version, stages)
        self.labels = attached(self.labels, version, stages)
        return version

    @rule(version=versions, stage=STAGES)
    def move(self, version: str, stage: str) -> None:
        self._attach(version, [stage])
        self.labels = attached(self.labels, version, (stage,))

    @rule(version=versions)
    def roll_back(self, version: str) -> None:
        before = self.labels[CURRENT]
        self.move(version, CURRENT)
        self.move(before, CURRENT)
        if before != version:
            assert self.labels[PREVIOUS] == version

    @rule(stage=STAGES.filter(lambda stage: stage != CURRENT))
    def remove(self, stage: str) -> None:
        for holder in self.model.values():
            holder.discard(stage)
        self.labels = detached(self.labels, stage)

    @rule(version=consumes(versions).filter(lambda version: version != "v0"))
    def forget(self, version: str) -> None:
        """It is named no more; its labels stay where they are."""

    @invariant()
    def labels_are_where_they_should_be(self) -> None:
        found = {version: set(stages) for version, stages in by_version(self.labels).items()}
        assert found == {version: held for version, held in self.model.items() if held}
        for version, held in self.model.items():
            assert set(stages_of(self.labels, version)) == held

    @invariant()
    def there_is_one_current_version(self) -> None:
        assert not self.model or sum(CURRENT in held for held in self.model.values()) == 1


TestVersions = Versions.TestCase


def test_current_is_never_removed() -> None:
    with pytest.raises(ValueError, match="never removed"):
        detached({CURRENT: "v"}, CURRENT)


# --- names

NAMES = st.text(string.ascii_letters + string.digits + "/_+=.@!-", min_size=1, max_size=512)


@given(NAMES, st.text(string.ascii_letters + string.digits, min_size=6, max_size=6))
def test_a_name_is_found_in_its_arn(name: str, suffix: str) -> None:
    whole = parse_secret_name(secret_arn("111122223333", "eu-west-1", name, suffix))
    assert whole == ("aws", "eu-west-1", "111122223333", name, suffix)
    assert parse_secret_name(name) == ("", "", "", name, "")
    partial = parse_secret_name(secret_arn("111122223333", "eu-west-1", name, ""))
    looks_whole = re.fullmatch(r".+-[a-zA-Z0-9]{6}", name) is not None
    assert partial.name == (name[:-7] if looks_whole else name)
    assert partial.suffix == (name[-6:] if looks_whole else "")


def test_ends_of_arns_are_random() -> None:
    ends = {new_suffix() for _ in range(100)}
    assert len(ends) == 100
    assert all(re.fullmatch(r"[a-zA-Z0-9]{6}", end) for end in ends)
