"""A plot of costs by day, as SVG: one column for each day, one colour for each name."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from math import ceil, log10
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 860, 360
_LEFT, _TOP, _BOTTOM = 70, 40, 30
_LINE = 18
_COLOURS = ("#33658a", "#f6ae2d", "#86bbd8", "#f26419", "#2f4858", "#9bc53d", "#8f6593", "#c3423f")
_MOST = len(_COLOURS) - 1


def svg(costs: Mapping[str, Mapping[date, Decimal]], month: date, title: str) -> str:
    """costs: dollars by name and day of the month. The dearest names have a colour each, the others share one."""
    names = sorted(costs, key=lambda name: (-sum(costs[name].values()), name))
    series = [(name, costs[name]) for name in names[:_MOST]]
    if len(names) > _MOST:
        others: dict[date, Decimal] = {}
        for name in names[_MOST:]:
            for day, cost in costs[name].items():
                others[day] = others.get(day, Decimal(0)) + cost
        series.append((f"{len(names) - _MOST} others", others))
    days = [month.replace(day=number + 1) for number in range(monthrange(month.year, month.month)[1])]
    highest = max((float(sum(of.get(day, Decimal(0)) for _, of in series)) for day in days), default=0.0)
    step = _step(highest)
    top = max(step, ceil(highest / step) * step)
    legend = _HEIGHT + 10
    height = legend + _LINE * len(series) + 10
    scale = (_HEIGHT - _TOP - _BOTTOM) / top
    base = _HEIGHT - _BOTTOM
    column = (_WIDTH - _LEFT - 10) / len(days)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for number in range(round(top / step) + 1):
        y = base - number * step * scale
        drawn.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_amount(number * step, step)}</text>'
        )
    for index, day in enumerate(days):
        x, y = _LEFT + index * column, float(base)
        for (name, of), colour in zip(series, _COLOURS, strict=False):
            tall = float(of.get(day, Decimal(0))) * scale
            if tall <= 0:
                continue
            y -= tall
            drawn.append(
                f'<rect x="{x + 2:.1f}" y="{y:.2f}" width="{column - 4:.1f}" height="{tall:.2f}" fill="{colour}">'
                f"<title>{escape(name)}, {day}: {of[day]:.6f}</title></rect>"
            )
        drawn.append(f'<text x="{x + column / 2:.1f}" y="{base + 18}" text-anchor="middle">{day.day}</text>')
    for index, ((name, of), colour) in enumerate(zip(series, _COLOURS, strict=False)):
        y = legend + index * _LINE
        drawn.append(f'<rect x="{_LEFT}" y="{y}" width="12" height="12" fill="{colour}"/>')
        drawn.append(f'<text x="{_LEFT + 20}" y="{y + 10}">{escape(name)}: {sum(of.values()):.4f}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def _step(highest: float) -> float:
    """Between two lines: 1, 2 or 5 times a power of ten, so that there are three to eight of them."""
    if highest <= 0:
        return 1.0
    power: float = 10.0 ** ceil(log10(highest) - 1)
    return next(power * part for part in (0.2, 0.5, 1.0, 2.0) if highest / (power * part) <= 8)


def _amount(value: float, step: float) -> str:
    return f"{value:.{max(0, ceil(-log10(step)))}f}"
