"""Cost Explorer: what the use of the served services would cost on AWS. Importing it attaches its handlers."""

from casemate.services.ce import costs

__all__ = ["costs"]
