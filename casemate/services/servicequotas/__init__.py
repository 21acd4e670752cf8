"""Service Quotas: what each account may have and how often it may call, and requests for more. Importing it attaches
its handlers."""

from casemate.services.servicequotas import increases, quotas, tags

__all__ = ["increases", "quotas", "tags"]
