"""How accounts share what a worker has few of: environments, threads for events and for batches."""

from __future__ import annotations


def may_have_one_more(has: int, taken: int, most: int, *, alone: bool) -> bool:
    """Whether an account that has so many may have one more. taken: by all accounts; alone: there is no other account
    that could want any. Where there are others, no account has
    more than three quarters."""
    if taken >= most:
        return False
    return alone or has < share_of_one(most)


def share_of_one(most: int) -> int:
    """How many one account may have of so many, where there are others."""
    return max(1, most - most // 4)
