-- Minutes in which events came to a group that has a metric filter with a default value. minute: since the epoch; matched:
-- 1 where the filter meant one of them.
CREATE TABLE logs_metric_minutes (
    group_id TEXT NOT NULL,
    filter TEXT NOT NULL,
    minute INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    PRIMARY KEY (group_id, filter, minute)
) STRICT;

CREATE INDEX logs_metric_minutes_by_time ON logs_metric_minutes (minute);
