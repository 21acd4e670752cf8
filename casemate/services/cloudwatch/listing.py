"""ListMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import cloudwatch
from casemate.gate.markers import read_marker, write_marker
from casemate.services.cloudwatch.metrics import Metrics
from casemate.services.cloudwatch.naming import shown
from casemate.services.cloudwatch.refusals import invalid
from casemate.services.cloudwatch.targets import AccountMetrics, account_metrics

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PAGE = 500
_SHOWN = 14 * 86_400
_RECENT = 3 * 3600
_SCOPE = "ListMetrics"


@cloudwatch.ListMetrics.reads(account_metrics)
def list_metrics(
    call: Call, req: cloudwatch.ListMetricsInput, target: AccountMetrics
) -> cloudwatch.ListMetricsOutput:
    """The metrics that data came for within two weeks, by namespace, name and dimensions."""
    if req.get("IncludeLinkedAccounts") or "OwningAccount" in req:
        raise invalid("Cross-account observability is not supported.")
    token = req.get("NextToken")
    after = "" if token is None else read_marker(_SCOPE, token)
    if after is None:
        raise invalid("The value for parameter NextToken is invalid.")
    namespace, name = req.get("Namespace"), req.get("MetricName")
    wanted = [(each["Name"], each.get("Value")) for each in req.get("Dimensions", ())]
    since = int(call.now) - (_RECENT if "RecentlyActive" in req else _SHOWN)
    found: list[cloudwatch.Metric] = []
    last = ""
    for metric_id, metric in call.part(Metrics).listed(call.tx, (call.account, call.region), since, after):
        has = dict(metric.dimensions)
        if (
            (namespace is not None and metric.namespace != namespace)
            or (name is not None and metric.name != name)
            or not all(each in has and value in (None, has[each]) for each, value in wanted)
        ):
            continue
        if len(found) == _PAGE:
            return {"Metrics": found, "NextToken": write_marker(_SCOPE, last)}
        found.append(
            {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": shown(metric.dimensions),
            }
        )
        last = metric_id
    return {"Metrics": found}
