"""SNS's quotas. Source: "Amazon SNS endpoints and quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

TOPICS = Quota(
    "sns",
    "L-61103206",
    "Topics per Account",
    100_000,
    description="The maximum number of topics in this account in a Region.",
)

FILTERS = Quota(
    "sns",
    "L-CM000705",
    "Filter Policies per Account",
    10_000,
    description="The maximum number of filter policies in this account in a Region.",
)
FILTERS_OF_TOPIC = Quota(
    "sns",
    "L-CM000701",
    "Filter Policies per Topic",
    200,
    adjustable=False,
    description="The maximum number of filter policies of one topic.",
)
FIFO_TOPICS = Quota(
    "sns",
    "L-CM000702",
    "FIFO Topics per Account",
    1_000,
    description="The maximum number of FIFO topics in this account in a Region.",
)
FIFO_SUBSCRIPTIONS = Quota(
    "sns",
    "L-CM000703",
    "Subscriptions per FIFO Topic",
    100,
    description="The maximum number of subscriptions of a FIFO topic.",
)
PENDING = Quota(
    "sns",
    "L-CM000704",
    "Pending Subscriptions per Account",
    5_000,
    description="The maximum number of subscriptions in this account in a Region that are not confirmed.",
)

QUOTAS = ServiceQuotas(
    "sns",
    "Amazon Simple Notification Service (Amazon SNS)",
    (TOPICS, FILTERS, FILTERS_OF_TOPIC, FIFO_TOPICS, FIFO_SUBSCRIPTIONS, PENDING),
)
