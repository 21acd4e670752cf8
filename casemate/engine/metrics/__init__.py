"""Metrics: what is kept of values that were measured, and which statistics can be told of it."""

from __future__ import annotations

from casemate.engine.metrics.statistics import Sample as Sample
from casemate.engine.metrics.statistics import merged as merged
from casemate.engine.metrics.statistics import of_set as of_set
from casemate.engine.metrics.statistics import of_values as of_values
from casemate.engine.metrics.statistics import percentile as percentile
from casemate.engine.metrics.statistics import read_percentile as read_percentile
