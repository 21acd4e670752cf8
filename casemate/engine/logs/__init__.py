"""What CloudWatch Logs does to log events, without I/O: filter patterns."""

from __future__ import annotations

from casemate.engine.logs.filter_pattern import FilterPattern, PatternError, compile_pattern

__all__ = ["FilterPattern", "PatternError", "compile_pattern"]
