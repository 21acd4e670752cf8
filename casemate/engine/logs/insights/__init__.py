"""The query language of CloudWatch Logs Insights: read, planned as SQL, and run over log events in memory."""

from __future__ import annotations

from casemate.engine.logs.insights.errors import QueryError, QueryFailed, QueryStopped
from casemate.engine.logs.insights.plan import Plan, plan_query
from casemate.engine.logs.insights.running import Piece, Running

__all__ = ["Piece", "Plan", "QueryError", "QueryFailed", "QueryStopped", "Running", "plan_query"]
