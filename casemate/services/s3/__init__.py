"""S3: buckets and who may use them. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.s3 import creating, listing

__all__ = ["creating", "listing"]
