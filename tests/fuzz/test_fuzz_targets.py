"""The fuzzer's targets do what it is told of them: good inputs pass, bad ones are refused, findings are found."""

from __future__ import annotations

import contextlib

import pytest
from fuzz import TARGETS, Slow, Target, main, run, with_hypothesis


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_get_through_or_are_refused_as_documented(name: str) -> None:
    target = TARGETS[name]
    taken = 0
    for seed in target.seeds:
        run(target, seed)
        with contextlib.suppress(*target.allowed):
            target.check(seed)
            taken += 1
    if name == "signature":
        assert taken == 0, "a signature was accepted that nobody made"
    else:
        assert taken, "no seed is a good input, so what is made from them tries little"


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment_of_fuzzing_finds_nothing(name: str) -> None:
    assert with_hypothesis(TARGETS[name], 0.1) > 0


def test_what_is_not_allowed_is_found() -> None:
    def check(data: bytes) -> None:
        if b"!" in data:
            raise KeyError("a defect")

    with pytest.raises(KeyError):
        with_hypothesis(Target(check, (ValueError,), (b"a!b",)), 5.0)


def test_what_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.SLOW_SECONDS", -1.0)
    with pytest.raises(Slow):
        run(Target(len, (), (b"",)), b"")


def test_targets_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(TARGETS)
    with pytest.raises(SystemExit):
        main(["no-such-target"])
    assert "no target no-such-target" in capsys.readouterr().err


def test_a_finding_ends_the_watch_for_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that is left behind ends the process a minute later, whatever that is doing by then."""

    def check(data: bytes) -> None:
        raise KeyError("a defect")

    watched: list[str] = []
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: watched.append("begun"))
    monkeypatch.setattr("faulthandler.cancel_dump_traceback_later", lambda: watched.append("ended"))
    monkeypatch.setitem(TARGETS, "broken", Target(check, (ValueError,), (b"a",)))
    assert main(["broken", "--engine", "hypothesis"]) == 1
    assert watched == ["begun", "ended"]
