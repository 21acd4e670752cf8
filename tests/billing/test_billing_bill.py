"""What usage costs: hours of months, free requests, the price table."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.billing.bill import held_lines, month_after, request_lines
from casemate.engine.billing.prices import current_prices, read_prices, usage_type_in
from casemate.engine.billing.usage import Holding, Requests

PRICES = current_prices()
ACCOUNT, REGION = "111122223333", "us-east-1"
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def key(begin: str, end: str) -> Holding:
    return Holding(ACCOUNT, REGION, "KMS-Keys", "arn:key", at(begin), at(end))


def cost_of(*holdings: Holding, start: date = NOVEMBER, end: date = DECEMBER) -> Decimal:
    return sum((line.cost for line in held_lines(PRICES, "kms", holdings, start, end)), Decimal(0))


def calls(
    count: int, day: date, usage_type: str = "KMS-Requests", region: str = REGION, key: str = ""
) -> Requests:
    return Requests(ACCOUNT, region, day, "Encrypt", usage_type, key, count)


def test_a_key_is_a_dollar_a_month_whatever_its_length() -> None:
    whole = key("2026-01-01", "2028-01-01")
    for month in (NOVEMBER, DECEMBER, date(2027, 2, 1)):
        lines = list(held_lines(PRICES, "kms", [whole], month, month_after(month)))
        assert sum((line.cost for line in lines), Decimal(0)).quantize(Decimal("1e-12")) == 1
        days = {line.day for line in lines}
        assert len(days) == len(lines) == (month_after(month) - month).days
        assert {line.operation for line in lines} == {"Unknown"}


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-11-10T00:00", "2026-11-10T01:00", 1),
        ("2026-11-10T00:30", "2026-11-10T00:31", 1),
        ("2026-11-10T00:59", "2026-11-10T01:01", 2),
        ("2026-11-10T12:00", "2026-11-12T12:00", 48),
        ("2026-10-31T12:00", "2026-11-01T12:00", 12),
        ("2026-11-30T12:00", "2026-12-05T12:00", 12),
        ("2026-10-01T00:00", "2026-10-31T00:00", 0),
        ("2026-12-01T00:00", "2026-12-31T00:00", 0),
    ],
)
def test_hours_are_paid_that_were_begun(begin: str, end: str, hours: int) -> None:
    assert cost_of(key(begin, end)) == Decimal(hours) / 720


@given(st.integers(0, 40 * 24 * 60), st.integers(0, 40 * 24 * 60), st.integers(1, 29))
def test_two_parts_of_a_month_cost_what_the_whole_does(begin: int, length: int, cut: int) -> None:
    start = at("2026-10-25") + begin * 60
    holding = Holding(ACCOUNT, REGION, "KMS-Keys", "arn:key", start, start + length * 60)
    middle = date(2026, 11, 1 + cut)
    parts = cost_of(holding, end=middle) + cost_of(holding, start=middle)
    assert abs(parts - cost_of(holding)) < Decimal("1e-20")


def total(requests: list[Requests], start: date = NOVEMBER, end: date = DECEMBER) -> Decimal:
    return sum((line.cost for line in request_lines(PRICES, "kms", requests, start, end)), Decimal(0))


def test_the_first_20_000_requests_of_a_month_are_free() -> None:
    third, fourth = date(2026, 11, 3), date(2026, 11, 4)
    assert total([calls(20_000, third)]) == 0
    assert total([calls(30_000, third)]) == Decimal("0.03")
    assert total([calls(15_000, third), calls(15_000, fourth)]) == Decimal("0.03")
    assert total([calls(15_000, third), calls(15_000, third, region="eu-west-1")]) == Decimal("0.03")
    assert total([calls(20_000, third), calls(20_000, date(2026, 12, 1))], end=date(2027, 1, 1)) == 0
    # A day by itself knows what the days before it have used.
    both = [calls(15_000, third), calls(15_000, fourth)]
    assert total(both, start=fourth, end=date(2026, 11, 5)) == Decimal("0.03")
    assert total(both, start=third, end=fourth) == 0


def test_accounts_that_are_billed_together_have_one_free_tier() -> None:
    day = date(2026, 11, 3)
    other = calls(30_000, day)._replace(account="444455556666")
    assert total([calls(10_000, day), other]) == Decimal("0.06")


def test_each_line_has_its_part_of_what_is_free() -> None:
    day = date(2026, 11, 3)
    lines = list(
        request_lines(
            PRICES, "kms", [calls(30_000, day, key="a"), calls(10_000, day, key="b")], NOVEMBER, DECEMBER
        )
    )
    assert {line.resource: line.cost for line in lines} == {"a": Decimal("0.045"), "b": Decimal("0.015")}


@pytest.mark.parametrize(
    ("usage_type", "cost"),
    [
        ("KMS-Requests-Asymmetric-RSA_2048", "0.03"),
        ("KMS-Requests-Asymmetric", "0.15"),
        ("KMS-Requests-GenerateDatakeyPair-ECC", "0.1"),
        ("KMS-Requests-GenerateDatakeyPair-RSA", "12"),
    ],
)
def test_what_is_not_symmetric_is_never_free(usage_type: str, cost: str) -> None:
    assert total([calls(10_000, date(2026, 11, 3), usage_type)]) == Decimal(cost)


def test_the_table_is_dated_and_names_its_pages() -> None:
    assert date(2026, 1, 1) < PRICES.as_of < date(2027, 1, 1)
    assert {service.source for service in PRICES.services.values()} == {
        "AWS Key Management Service pricing",
        "AWS Cost Management pricing",
    }


def test_usage_types_have_their_regions_name() -> None:
    assert usage_type_in("eu-west-1", PRICES.services["kms"], "KMS-Keys") == "eu-west-1-KMS-Keys"
    assert usage_type_in("us-east-1", PRICES.services["ce"], "APIRequest") == "USE1-APIRequest"


def test_a_table_without_a_price_is_none() -> None:
    with pytest.raises(KeyError):
        read_prices(
            'as_of = 2026-01-01\n[services.x]\nname = "X"\nsource = "x"\nprefix = "code"\nusage.a = {}'
        )
    with pytest.raises(KeyError):
        PRICES.of("kms", "Nothing")
