"""The language of Logs Insights, without a server: what queries find in a few events, and what is refused."""

from __future__ import annotations

import string
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.engine.logs.insights import Piece, QueryError, QueryFailed, QueryStopped, Running, plan_query
from casemate.engine.logs.insights.commands import glob_pattern
from casemate.engine.logs.insights.values import column, literal

START = 1_700_000_000_000
EVENTS = (
    '{"level":"error","status":500,"user":{"name":"al"},"tags":["x","y"],"ok":true,"ip":"10.1.2.3"}',
    '{"level":"info","status":200,"user":{"name":"bo"},"ms":1.5}',
    "plain text user=al, took 15 ms",
    '{"level":"error","status":"404","odd name":"o\'dd"}',
)


def asked(
    query: str, messages: Sequence[str] = EVENTS, *, most: int = 10_000, first: int = 0
) -> list[dict[str, str]]:
    """The rows of a query over events, one a minute, without pointers."""
    plain = orjson.dumps([[START + at * 60_000 for at in range(len(messages))], list(messages)])
    with Running(plan_query(query, most), START / 1000, 1 << 43) as running:
        running.add([Piece("stream", "1:group", "p", START + 5, plain)], first)
        rows = [dict(row) for row in running.rows()]
    for row in rows:
        row.pop("@ptr", None)
    return rows


def values(query: str, name: str = "x", messages: Sequence[str] = EVENTS) -> list[str | None]:
    return [row.get(name) for row in asked(query, messages)]


def first(expression: str) -> str | None:
    """What an expression is of the first event."""
    return asked(f"sort @timestamp asc | limit 1 | display {expression} as x")[0].get("x")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("status", "500"), ("user.name", "al"), ("tags.1", "y"), ("tags.2", None), ("ok", "true"), ("absent", None),
        ("@timestamp", "2023-11-14 22:13:20.000"), ("@ingestionTime", "2023-11-14 22:13:20.005"),
        ("@logStream", "stream"), ("@log", "1:group"), ("@message", EVENTS[0]),
        ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("7 % 4", "3"), ("2 ^ 10", "1024"), ("1 / 4", "0.25"),
        ("1 / 0", None), ("-status", "-500"), ("status - 1", "499"), ("level + 1", None),
        ("abs(-3)", "3"), ("ceil(1.2)", "2"), ("floor(1.8)", "1"), ("greatest(1, status, 3)", "500"),
        ("least(1, 2)", "1"), ("log(1)", "0"), ("log(0)", None), ("sqrt(9)", "3"), ("sqrt(-1)", None),
        ("concat(level, '-', status, 1)", "error-5001"), ("strlen(level)", "5"), ("toupper(level)", "ERROR"),
        ("tolower('ABC')", "abc"), ("trim('  a ')", "a"), ("ltrim('xxa', 'x')", "a"), ("rtrim('axx', 'x')", "a"),
        ("replace(level, 'r', 'l')", "ellol"), ("substr(level, 1)", "rror"), ("substr(level, 1, 2)", "rr"),
        ("strcontains(level, 'rr')", "1"), ("strcontains(level, 'RR')", "0"), ("ispresent(level)", "1"),
        ("ispresent(absent)", "0"), ("isempty(absent)", "1"), ("isblank('  ')", "1"),
        ("coalesce(absent, level)", "error"),
        ("bin(1h)", "2023-11-14 22:00:00.000"), ("datefloor(@timestamp, 1d)", "2023-11-14 00:00:00.000"),
        ("dateceil(@timestamp, 1h)", "2023-11-14 23:00:00.000"),
        ("datefloor(@timestamp, 1mo)", "2023-11-01 00:00:00.000"),
        ("dateceil(@timestamp, 1y)", "2024-01-01 00:00:00.000"), ("fromMillis(0)", "1970-01-01 00:00:00.000"),
        ("toMillis(@timestamp)", str(START)), ("now()", str(START // 1000)),
        ("isValidIpv4(ip)", "1"), ("isValidIpv4('300.1.1.1')", "0"), ("isIpv4InSubnet(ip, '10.0.0.0/8')", "1"),
        ("isIpv4InSubnet(ip, '10.2.0.0/16')", "0"), ("isIpv4InSubnet(level, '10.0.0.0/8')", "0"),
        ("status = 500 and level = 'error'", "1"), ("not status = 500", "0"), ("`user.name`", "al"),
        ("'it''s'", None),
    ],
)  # fmt: skip
def test_expressions(expression: str, value: str | None) -> None:
    if expression == "'it''s'":
        with pytest.raises(QueryError):
            first(expression)
        return
    assert first(expression) == value


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("level = 'error'", [3, 0]), ("level != 'error'", [1]), ("status >= 404", [3, 0]), ("status = '404'", [3]),
        ("status = 404", [3]), ("status < 404", [1]), ("level in ['info', 'warn']", [1]),
        ("status in [200, 500]", [1, 0]),
        ("level not in ['info']", [3, 2, 0]), ("not level = 'error'", [2, 1]), ("@message like 'text'", [2]),
        ("@message like /(?i)ERROR/", [3, 0]), ("@message =~ /user=\\w+/", [2]), ("@message not like 'level'", [2]),
        ("ispresent(user.name)", [1, 0]), ("level = 'info' or status = 500", [1, 0]),
        ("level = 'error' and (status = 500 or status = 404)", [3, 0]), ("status = ms", []),
        ("`odd name` = \"o'dd\"", [3]),
        ("@timestamp = 1700000060000", [1]),
    ],
)  # fmt: skip
def test_filters(condition: str, found: list[int]) -> None:
    assert [EVENTS.index(row["@message"]) for row in asked(f"filter {condition}")] == found


def test_aggregates_over_periods() -> None:
    rows = asked("stats count(*) as n, count(level), avg(status), max(status) by bin(2m) as b | sort b")
    assert rows == [
        {"b": "2023-11-14 22:12:00.000", "n": "1", "count(level)": "1", "avg(status)": "500", "max(status)": "500"},
        {"b": "2023-11-14 22:14:00.000", "n": "2", "count(level)": "1", "avg(status)": "200", "max(status)": "200"},
        {"b": "2023-11-14 22:16:00.000", "n": "1", "count(level)": "1", "avg(status)": "404", "max(status)": "404"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [
        ("count(*)", "4"), ("count()", "4"), ("count(level)", "3"), ("count_distinct(level)", "2"),
        ("sum(status)", "1104"),
        ("avg(status)", "368"), ("min(status)", "200"), ("max(status)", "500"), ("max(level)", "info"),
        ("pct(status, 50)", "404"), ("median(status)", "404"), ("sum(status) / count(*)", "276"),
        ("earliest(level)", "error"), ("latest(user.name)", "bo"), ("sortsFirst(level)", "error"),
        ("sortsLast(level)", "info"), ("stddev(ms)", "0"), ("sum(absent)", None),
        ("concat(min(level), '!')", "error!"),
        ("max(@timestamp)", str(START + 180_000)),
    ],
)  # fmt: skip
def test_aggregates(aggregate: str, value: str | None) -> None:
    assert values(f"stats {aggregate} as x") == [value]


def test_stats_after_stats() -> None:
    assert asked("stats count(*) as n by level | stats sum(n) as all, count(*) as groups") == [
        {"all": "4", "groups": "3"}
    ]
    assert asked("stats count(*) by level | filter `count(*)` > 1") == [{"level": "error", "count(*)": "2"}]


def test_parse() -> None:
    query = (
        "parse @message 'user=*, took * ms' as who, took | filter ispresent(who) | display who, took * 2 as x"
    )
    assert asked(query) == [{"who": "al", "x": "30"}]
    named = "parse @message /user=(?<who>\\w+), took (?<took>\\d+)/ | stats sum(took) as x by who"
    assert asked(named)[0] == {"x": "15", "who": "al"}
    assert values("parse user.name /(.)(.)/ as a, x | sort @timestamp asc | display x") == [
        "l",
        "o",
        None,
        None,
    ]
    assert values("parse 'took *' as x | filter ispresent(x) | display x") == ["15 ms"]


def test_sort_limit_dedup_and_display() -> None:
    by_status = values("sort status desc, @timestamp asc | display status as x")
    assert by_status == ["500", "404", "200", None]
    assert values("sort status asc | limit 2 | display status as x") == ["200", "404"]
    latest = asked("dedup level | sort @timestamp asc | display @timestamp")
    assert [row["@timestamp"][14:16] for row in latest] == ["14", "15", "16"]
    oldest = asked("sort @timestamp asc | dedup level | display @timestamp")
    assert [row["@timestamp"][14:16] for row in oldest] == ["13", "14", "15"]
    assert asked("fields level | fields status | limit 1") == [{"level": "error", "status": "404"}]
    assert len(asked("fields @message", most=3)) == 3
    assert len(asked("fields @message", first=START + 60_000)) == 3


def test_comments_case_and_layout() -> None:
    assert values("# of levels\nFIELDS level AS x # all\n| SORT @timestamp ASC\n| LIMIT 1") == ["error"]


@pytest.mark.parametrize(
    ("query", "message", "start", "end"),
    [
        ("", "unexpected end of the query at line 1 and position 1", 0, 1),
        ("foo bar", "unexpected symbol found foo at line 1 and position 1", 0, 3),
        ("fields @message\n| filter =", "unexpected symbol found = at line 2 and position 10", 25, 26),
        ("fields a |", "unexpected end of the query at line 1 and position 11", 10, 11),
        ("filter a ~ b", "unexpected symbol found ~ at line 1 and position 10", 9, 10),
        ("filter nope(a)", "unknown function nope", 7, 14),
        ("filter count(a) > 1", "the function count stands in stats only", 7, 15),
        ("filter strlen(a, b) = 1", "the function strlen does not take 2 arguments", 7, 19),
        ("filter a like /(/", "a regular expression that cannot be read", 14, 17),
        ("filter a like b", "unexpected symbol found b at line 1 and position 15", 14, 15),
        ("filter a not b", "unexpected symbol found b at line 1 and position 14", 13, 14),
        ("limit 0", "a limit is between 1 and 10000", 6, 7),
        ("limit many", "unexpected symbol found many at line 1 and position 7", 6, 10),
        ("stats count(*) by bin(x)", "bin takes a period, as 5m", 18, 24),
        ("stats pct(a, b) by c", "pct: a percentage is a number between 0 and 100", 6, 15),
        ("stats count(*) as a, sum(b) as a", "stats gives two columns the same name", 0, 1),
        ("stats 1 | stats 2 | stats 3", "more than 2 stats commands", 0, 27),
        ("parse @message 'a*b*' as c", "the pattern finds 2 values, and 1 are named", 15, 21),
        ("parse @message /a/", "the regular expression has no groups", 15, 18),
        ("parse @message /(?<a/", "a regular expression that cannot be read", 15, 21),
        ("filter isIpv4InSubnet(a, b)", "isipv4insubnet: a subnet is a text", 7, 27),
        ("filter 5m", "a period stands in bin, datefloor and dateceil only", 0, 1),
        ("fields datefloor(@timestamp, 2mo)", "of months, quarters and years there is one in a period", 7, 33),
    ],
)  # fmt: skip
def test_malformed(query: str, message: str, start: int, end: int) -> None:
    with pytest.raises(QueryError) as refused:
        plan_query(query)
    assert (refused.value.message, refused.value.start, refused.value.end) == (message, start, end)


def test_too_deep_or_too_complex() -> None:
    with pytest.raises(QueryError, match="nested too deeply"):
        plan_query(f"filter {'(' * 200}a{')' * 200}")
    with pytest.raises(QueryError, match="too many operators"):
        plan_query(f"filter a{' + a' * 2000}")
    with pytest.raises(QueryError, match="too complex"):
        plan_query(f"fields {'sqrt(' * 35}a{')' * 35}")
    with pytest.raises(QueryError, match="too complex"):
        plan_query(f"fields {'(' * 35}a{' = a)' * 35}")


@settings(max_examples=300)
@given(st.text("fieldsr|@.,()[]'\"`/*=<>5m #\n-ab\\" + string.digits, max_size=40))
def test_any_text_is_planned_or_refused(text: str) -> None:
    for query in (text, f"filter {text}", f"stats {text}", f"parse {text}"):
        try:
            plan_query(query)
        except QueryError as refusal:
            error = refusal
        else:
            continue
        assert 0 <= error.start <= error.end <= len(query) + 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4))
def test_texts_are_texts_whatever_they_hold(texts: list[str]) -> None:
    """What stands in a query or an event is never taken for SQL."""
    messages = [orjson.dumps({"v": text}).decode() for text in texts]
    wanted = texts[0]
    quoted = '"' + wanted.replace("\\", "\\\\").replace('"', '\\"') + '"'
    rows = asked(f"filter v = {quoted} | display v as x", messages)
    if "\0" not in wanted:
        assert len(rows) == texts.count(wanted)
        assert {row["x"] for row in rows} == {wanted}


@given(st.text())
def test_literals_and_names_end_where_they_should(text: str) -> None:
    for quoted, mark in ((literal(text), "'"), (column(text), '"')):
        assert quoted[0] == quoted[-1] == mark
        assert mark not in quoted[1:-1].replace(mark * 2, "")


def test_globs() -> None:
    assert glob_pattern("a.*b*") == r"(?s)a\.(.*?)b(.*)"
    assert glob_pattern("[*]") == r"(?s)\[(.*?)\]"


def test_many_events_are_bounded() -> None:
    """Those that cannot be among the first are let go as more come."""
    plan = plan_query("fields n | filter n % 2 = 0", 3)
    with Running(plan, 0, 1 << 43) as running:
        for batch in range(30):
            numbers = range(batch * 10_000, batch * 10_000 + 10_000)
            plain = orjson.dumps([list(numbers), [f'{{"n":{number}}}' for number in numbers]])
            running.add([Piece("s", "g", "p", 0, plain)], 0)
        assert running.matched == 150_000
        assert [dict(row)["n"] for row in running.rows()] == ["299998", "299996", "299994"]


def test_texts_do_not_grow_without_bound() -> None:
    messages = ['{"a": "%s"}' % ("y" * 1_000)]
    assert asked("fields strlen(replace(a, 'y', 'yyyyyyyyyy')) as x", messages) == [{"x": "10000"}]
    assert asked("fields replace(a, 'y', 'yyyyyyyyyyyyyyyyy') as x", messages) == [{}]
    assert asked("fields strlen(concat(a, a, a)) as x", messages) == [{"x": "3000"}]
    doubled = "fields concat(a, a, a, a) as b | fields concat(b, b, b, b) as c | fields concat(c, c) as x"
    assert asked(f"{doubled} | display strlen(c) as c, x", messages) == [{"c": "16000"}]
    with pytest.raises(QueryError, match="the query makes too many texts"):
        plan_query("fields " + ", ".join(f"concat(a, {number}) as a{number}" for number in range(51)))


def test_nothing_outside_is_reached_and_nothing_spilt(tmp_path: object) -> None:
    with Running(plan_query("fields a"), 0, 1) as running:
        for sql in (
            "SELECT * FROM read_text('/etc/passwd')",
            f"COPY staged TO '{tmp_path}/out.csv'",
            "INSTALL httpfs",
            "ATTACH '/tmp/x.db'",
            "SET temp_directory = '/tmp'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(QueryFailed):
                running._run(sql)
        assert running._run("SELECT current_setting('temp_directory')") in ([("",)], [(None,)])


def test_a_query_that_is_stopped() -> None:
    with Running(plan_query("fields a"), 0, 1) as running:
        running.stop()
        with pytest.raises(QueryStopped):
            list(running.rows())
