"""What CloudWatch Logs does to log events, without I/O: filter patterns, and what metric filters measure."""

from __future__ import annotations

from casemate.engine.logs.filter_pattern import FilterPattern, PatternError, compile_pattern
from casemate.engine.logs.transformation import compile_transformation

__all__ = ["FilterPattern", "PatternError", "compile_pattern", "compile_transformation"]
