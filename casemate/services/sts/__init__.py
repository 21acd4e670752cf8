"""STS: who the caller is. Assuming roles and federation are served by later work."""

from __future__ import annotations

from casemate.services.sts import caller

__all__ = ["caller"]
