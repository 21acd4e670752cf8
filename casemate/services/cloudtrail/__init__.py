"""CloudTrail: the history of events. Importing it attaches its handlers."""

from casemate.services.cloudtrail import lookup

__all__ = ["lookup"]
