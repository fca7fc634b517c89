"""True relevance over the simulated year as one SVG: live, best kept, and the global hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 960, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 18, 40
MARKS = {"kept": "▲", "back": "▼", "drill": "◆"}
STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif;
  --soft: light-dark(#6b6b6b, #9a9a9a); --rule: light-dark(#dddddd, #3a3a3a);
  --live: light-dark(#0b5fb0, #6cb6ff); --gold: light-dark(#a86b00, #e3b341);
  --bad: light-dark(#b3261e, #ff8a80); --good: light-dark(#1b7f3b, #6bd28b); }
svg text { fill: var(--soft); } svg .grid { stroke: var(--rule); }
svg polyline, svg path.live, svg path.gold, svg path.holdout { fill: none; stroke-width: 2; }
svg .live { stroke: var(--live); } svg .holdout { stroke: var(--soft); }
svg .gold { stroke: var(--gold); stroke-dasharray: 4 3; }
svg text.kept { fill: var(--good); } svg text.back { fill: var(--bad); }
svg text.drill { fill: var(--gold); }
"""


def svg(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """``found`` is an account of a year; ``words`` gives the names of lines and marks.

    It stands alone: no script, no outside file, and colours for light and dark.
    """
    series: Sequence[Sequence[float]] = found["truth"]["series"]
    days = max(1.0, float(found["days"]))
    values = [value for row in series for value in row[1:]]
    low, high = min(values), max(values)
    room = max(0.01, (high - low) * 0.08)
    low, high = low - room, high + room

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / days

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<style>{STYLE}</style><title>{escape(words['plot'])}</title>",
    ]
    for step in range(5):
        value = low + (high - low) * step / 4
        parts.append(
            f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    for day in range(0, int(days) + 1, max(1, int(days / 12))):
        parts.append(
            f'<text x="{x(day):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{day}</text>'
        )
    for column, name in ((3, "holdout"), (2, "gold"), (1, "live")):
        line = " ".join(f"{x(row[0]):.1f},{y(row[column]):.1f}" for row in series)
        parts.append(f'<polyline class="{name}" points="{line}"/>')
    for event in found["went_live"]:
        kind = "drill" if event["drill"] else "back" if event["restored_s"] is not None else "kept"
        near = min(series, key=lambda row: abs(row[0] - event["day"]))
        place = TOP + 10 if kind == "drill" else y(near[1]) + (-10 if kind == "kept" else 18)
        told = f"{event['version']}: {event['why']}"
        parts.append(
            f'<text class="{kind}" x="{x(event["day"]):.1f}" y="{place:.1f}" '
            f'text-anchor="middle"><title>{escape(told)}</title>{MARKS[kind]}</text>'
        )
    parts += _legend(words)
    parts.append("</svg>")
    return "\n".join(parts)


def _legend(words: Mapping[str, str]) -> list[str]:
    lines, at = [], LEFT
    for name in ("live", "gold", "holdout"):
        lines.append(
            f'<path class="{name}" d="M{at} {HEIGHT - 8}h22"/>'
            f'<text x="{at + 28}" y="{HEIGHT - 4}">{escape(words[name])}</text>'
        )
        at += 40 + 7 * len(words[name])
    for name, mark in MARKS.items():
        lines.append(
            f'<text class="{name}" x="{at}" y="{HEIGHT - 4}">{mark}</text>'
            f'<text x="{at + 16}" y="{HEIGHT - 4}">{escape(words[name])}</text>'
        )
        at += 28 + 7 * len(words[name])
    return lines
