"""SNS: topics, subscriptions, messages to queues, functions and HTTP endpoints. Importing it attaches its
handlers."""

from __future__ import annotations

from casemate.services.sns import certificates, policies, publishing, subscriptions, topic_operations

__all__ = ["certificates", "policies", "publishing", "subscriptions", "topic_operations"]
