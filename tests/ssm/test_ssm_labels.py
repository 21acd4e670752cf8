"""Labels by a real client; and versions with labels against a model, whatever the order of calls."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from ssm_support import Ssm, arn, refused


def label(ssm: Ssm, name: str, *labels: str, **more: Any) -> Any:
    answer = ssm.of().label_parameter_version(Name=name, Labels=list(labels), **more)
    return answer["InvalidLabels"], answer["ParameterVersion"]


def labels_of(ssm: Ssm, name: str) -> dict[int, list[str]]:
    history = ssm.of().get_parameter_history(Name=name)["Parameters"]
    return {each["Version"]: each["Labels"] for each in history}


def test_labels_are_given_moved_and_taken(ssm: Ssm) -> None:
    ssm.put("/label", "one")
    ssm.put("/label", "two", Overwrite=True)
    assert label(ssm, "/label", "prod") == ([], 2), "the current version unless another is named"
    assert label(ssm, "/label", "prod", "blue", ParameterVersion=1) == ([], 1)
    assert labels_of(ssm, "/label") == {1: ["blue", "prod"], 2: []}
    assert ssm.value("/label:prod") == "one"
    answer = ssm.of().unlabel_parameter_version(Name="/label", ParameterVersion=1, Labels=["prod", "none"])
    assert (answer["RemovedLabels"], answer["InvalidLabels"]) == (["prod"], ["none"])
    answer = ssm.of().unlabel_parameter_version(Name="/label", ParameterVersion=2, Labels=["blue"])
    assert (answer["RemovedLabels"], answer["InvalidLabels"]) == ([], ["blue"]), "another version has it"
    assert labels_of(ssm, "/label") == {1: ["blue"], 2: []}


def test_what_a_label_may_be(ssm: Ssm) -> None:
    ssm.put("/label-form")
    bad = ["1st", "awsProd", "SSM", "a b", "größe", "a/b", "a:b"]
    good = ["Prod", "_x", ".y"]
    assert label(ssm, "/label-form", *bad, *good) == (bad, 1)
    assert labels_of(ssm, "/label-form") == {1: sorted(good)}
    with refused("ValidationException"):
        label(ssm, "/label-form", "l" * 101)
    assert label(ssm, "/label-form", "l" * 100) == ([], 1)


def test_a_version_has_ten_labels_at_most(ssm: Ssm) -> None:
    ssm.put("/label-many")
    label(ssm, "/label-many", *(f"l{number}" for number in range(10)))
    with refused(
        "ParameterVersionLabelLimitExceeded",
        "A parameter version can have maximum 10 labels. Move one or more labels to another version and try again.",
    ):
        label(ssm, "/label-many", "one-more")
    assert label(ssm, "/label-many", "l3") == ([], 1), "it has that one"
    ssm.put("/label-many", "two", Overwrite=True)
    assert label(ssm, "/label-many", "one-more", "l0") == ([], 2)
    assert len(labels_of(ssm, "/label-many")[1]) == 9


def test_labels_of_what_there_is_not(ssm: Ssm) -> None:
    ssm.put("/label-absent")
    with refused("ParameterNotFound"):
        label(ssm, "/label-none", "x")
    with refused("ParameterNotFound"):
        ssm.of().unlabel_parameter_version(Name="/label-none", ParameterVersion=1, Labels=["x"])
    for operation in (ssm.of().label_parameter_version, ssm.of().unlabel_parameter_version):
        for number in (2, 0, -1, 2**63 - 1):
            with refused("ParameterVersionNotFound"):
                operation(Name="/label-absent", ParameterVersion=number, Labels=["x"])
        with refused("ValidationException"):
            operation(Name=arn("/label-absent"), ParameterVersion=1, Labels=["x"])


_NUMBERS = count()
_LABELS = st.sampled_from(["a", "b", "c", "d"])


def machine(ssm: Ssm) -> type[RuleBasedStateMachine]:
    client = ssm.of()

    class Versions(RuleBasedStateMachine):
        """One parameter; values: of each version; labels: the version of each."""

        @initialize()
        def begin(self) -> None:
            self.name = f"/machine/{next(_NUMBERS)}"
            self.values: list[str] = []
            self.labels: dict[str, int] = {}

        @rule(value=st.text(st.characters(codec="utf-8", exclude_characters="{}\0"), min_size=1, max_size=20))
        def put(self, value: str) -> None:
            made = client.put_parameter(
                Name=self.name, Value=value, Type="String", Overwrite=bool(self.values)
            )
            self.values.append(value)
            assert made["Version"] == len(self.values)

        @rule(labels=st.sets(_LABELS, min_size=1), version=st.integers(0, 6))
        def label(self, labels: set[str], version: int) -> None:
            more = {"ParameterVersion": version} if version else {}
            number = version or len(self.values)
            if not self._there(
                number, lambda: client.label_parameter_version(Name=self.name, Labels=[*labels], **more)
            ):
                return
            self.labels.update(dict.fromkeys(labels, number))

        @rule(labels=st.sets(_LABELS, min_size=1), version=st.integers(1, 6))
        def unlabel(self, labels: set[str], version: int) -> None:
            had = {each for each in labels if self.labels.get(each) == version}
            answer = self._there(
                version,
                lambda: client.unlabel_parameter_version(
                    Name=self.name, ParameterVersion=version, Labels=[*labels]
                ),
            )
            if answer:
                assert set(answer["RemovedLabels"]) == had
                assert set(answer["InvalidLabels"]) == labels - had
                for each in had:
                    del self.labels[each]

        @rule()
        def delete(self) -> None:
            if self._there(1, lambda: client.delete_parameter(Name=self.name)):
                self.values.clear()
                self.labels.clear()

        def _there(self, version: int, call: Any) -> Any:
            """The answer; None when the refusal is the one to be expected."""
            try:
                answer = call()
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if not self.values:
                    assert code == "ParameterNotFound"
                else:
                    assert code == "ParameterVersionNotFound"
                    assert version > len(self.values)
                return None
            assert 1 <= version <= len(self.values)
            return answer

        @invariant()
        def is_as_expected(self) -> None:
            if not hasattr(self, "name"):
                return
            if not self.values:
                with pytest.raises(ClientError, match="ParameterNotFound"):
                    client.get_parameter(Name=self.name)
                return
            history = client.get_parameter_history(Name=self.name)["Parameters"]
            assert [each["Value"] for each in history] == self.values
            shown = {label: each["Version"] for each in history for label in each["Labels"]}
            assert shown == self.labels
            assert client.get_parameter(Name=self.name)["Parameter"]["Value"] == self.values[-1]
            for each, version in self.labels.items():
                found = client.get_parameter(Name=f"{self.name}:{each}")["Parameter"]
                assert (found["Version"], found["Value"]) == (version, self.values[version - 1])

    return Versions


def test_versions_and_labels_in_any_order(ssm: Ssm) -> None:
    run_state_machine_as_test(machine(ssm), settings=settings(max_examples=12, stateful_step_count=12))
