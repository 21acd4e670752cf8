"""Casemate: the AWS security services, self-hosted. See docs/architecture.md for the way of a request."""

__version__ = "0.1.0.dev0"
