"""The contract as a state machine: whatever is done, the store holds what a dict would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from store_support import opened

from casemate.store.database import Conflict, Store, Tx

KEYS = st.sampled_from(["a", "b", "C", "ä", "-"])
NUMBERS = st.integers(0, 2**63 - 1)
BODIES = st.none() | st.binary(max_size=20)
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "insert", "delete", "guarded", "fail"]), KEYS, NUMBERS, BODIES),
    max_size=5,
)


class _Abandoned(Exception):
    pass


def in_database(steps: list[Any]) -> Any:
    def fn(tx: Tx) -> list[int]:
        counts = []
        for what, key, number, body in steps:
            if what == "put":
                counts.append(
                    tx.run(
                        "INSERT INTO item (id, n, body) VALUES (?, ?, ?) ON CONFLICT (id) "
                        "DO UPDATE SET n = excluded.n, body = excluded.body",
                        (key, number, body),
                    )
                )
            elif what == "insert":
                counts.append(tx.run("INSERT INTO item (id, n, body) VALUES (?, ?, ?)", (key, number, body)))
            elif what == "delete":
                counts.append(tx.run("DELETE FROM item WHERE id = ?", (key,)))
            elif what == "guarded":
                try:
                    with tx.savepoint():
                        tx.run("DELETE FROM item WHERE id <> ?", (key,))
                        counts.append(
                            tx.run("INSERT INTO item (id, n, body) VALUES (?, ?, ?)", (key, number, body))
                        )
                except Conflict:
                    counts.append(-1)
            else:
                raise _Abandoned
        return counts

    return fn


def in_model(steps: list[Any], before: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    model, counts = dict(before), []
    for what, key, number, body in steps:
        if what == "put":
            model[key] = number, body
            counts.append(1)
        elif what == "insert":
            if key in model:
                raise Conflict
            model[key] = number, body
            counts.append(1)
        elif what == "delete":
            counts.append(int(model.pop(key, None) is not None))
        elif what == "guarded":
            if key in model:
                counts.append(-1)
            else:
                model = {key: (number, body)}
                counts.append(1)
        else:
            raise _Abandoned
    return counts, model


def test_the_store_behaves_like_a_dict(database: str) -> None:
    with opened(database) as first, opened(database) as second:
        stores: list[Store] = [first, second]

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                first.write(lambda tx: tx.run("DELETE FROM item"))
                self.model: dict[str, Any] = {}

            @rule(which=st.sampled_from(stores), steps=STEPS)
            def write(self, which: Store, steps: list[Any]) -> None:
                try:
                    counts, model = in_model(steps, self.model)
                except (Conflict, _Abandoned) as error:
                    with pytest.raises(type(error)):
                        which.write(in_database(steps))
                else:
                    assert which.write(in_database(steps)) == counts
                    self.model = model

            @rule(which=st.sampled_from(stores), key=KEYS)
            def look_up(self, which: Store, key: str) -> None:
                found = which.read(lambda tx: tx.one("SELECT n, body FROM item WHERE id = ?", (key,)))
                assert found == self.model.get(key)

            @rule(which=st.sampled_from(stores), key=KEYS, limit=st.integers(1, 3))
            def page(self, which: Store, key: str, limit: int) -> None:
                found = which.read(
                    lambda tx: tx.all("SELECT id FROM item WHERE id > ? ORDER BY id LIMIT ?", (key, limit))
                )
                after = sorted((k for k in self.model if k.encode() > key.encode()), key=str.encode)
                assert found == [(k,) for k in after[:limit]]

            @invariant()
            def the_same(self) -> None:
                for which in stores:
                    rows = which.read(lambda tx: tx.all("SELECT id, n, body FROM item"))
                    assert {row[0]: row[1:] for row in rows} == self.model

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
