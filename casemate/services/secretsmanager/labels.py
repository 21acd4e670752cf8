"""Staging labels: which version of a secret is which. Pure: from one state to the next.

A label is on one version at most. Wherever AWSCURRENT leaves a version for another, AWSPREVIOUS goes to the version
that it left; it never leaves all of them. Source: "What's in a Secrets Manager secret?", "UpdateSecretVersionStage".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"

Labels = Mapping[str, str]
"""The version's id by label."""


def attached(labels: Labels, version: str, stages: Iterable[str]) -> dict[str, str]:
    """The labels with some of them moved to a version, from wherever they are."""
    moved = dict(labels)
    before = moved.get(CURRENT)
    chosen = list(stages)
    for stage in chosen:
        moved[stage] = version
    if CURRENT in chosen and before is not None and before != version:
        moved[PREVIOUS] = before
    return moved


def detached(labels: Labels, stage: str) -> dict[str, str]:
    """The labels without one, which must not be AWSCURRENT."""
    if stage == CURRENT:
        raise ValueError("AWSCURRENT moves and is never removed")
    return {each: version for each, version in labels.items() if each != stage}


def stages_of(labels: Labels, version: str) -> list[str]:
    """A version's labels, in the order in which they were first attached to the secret."""
    return [stage for stage, holder in labels.items() if holder == version]


def by_version(labels: Labels) -> dict[str, list[str]]:
    """The labels of each version that has any."""
    found: dict[str, list[str]] = {}
    for stage, version in labels.items():
        found.setdefault(version, []).append(stage)
    return found
