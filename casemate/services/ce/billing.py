"""What Cost Explorer itself costs: its requests. Source: "AWS Cost Management pricing"."""

from __future__ import annotations

from casemate.gate.billing import Billed

BILLED = Billed(
    "ce",
    "ce.amazonaws.com",
    subject=lambda _: ("", ""),
    usage_type=lambda *_: "APIRequest",
    holdings=lambda *_: (),
)
