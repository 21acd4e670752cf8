"""Lambda's quotas, per account and Region. Source: "Lambda quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

CONCURRENT = Quota(
    "lambda",
    "L-B99A9384",
    "Concurrent executions",
    1_000,
    description="Invocations of all functions in the Region that may run at the same time.",
)

UNRESERVED = 100
"""What must be left for functions without reserved concurrency."""

QUOTAS = ServiceQuotas("lambda", "AWS Lambda", (CONCURRENT,))
