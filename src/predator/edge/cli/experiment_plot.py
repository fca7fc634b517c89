"""An experiment as a picture: bars of text for a terminal, SVG, and a page that holds the SVG.

The SVG is written by hand: no library, no script, no font or address from outside. Whatever comes
from a file is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as html_escape

from predator.edge.cli.experiment_words import percent
from predator.edge.cli.shown import safe
from predator.loop.experiment.view import LookPoint

WIDTH, LEFT, RIGHT, TOP = 720, 72, 20, 40
GAIN_HEIGHT, EVIDENCE_HEIGHT, GAP = 240, 120, 56
BAR = 41
"""Characters of a bar of text; odd, so that it has a middle."""
MOST_EVIDENCE = 1e6

_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}"
    ".axis{stroke:#999}.zero{stroke:#222;stroke-dasharray:4 3}.band{fill:#4477aa;opacity:.22}"
    ".line{fill:none;stroke:#4477aa;stroke-width:2}.dot{fill:#4477aa}"
    ".proof{fill:none;stroke:#228833;stroke-width:2}.proven{fill:#228833}"
    ".needed{stroke:#aa3377;stroke-dasharray:4 3}"
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The words of a picture."""

    title: str
    gain: str
    evidence: str
    x: str
    none: str


def drawable(looks: Sequence[LookPoint]) -> list[LookPoint]:
    """The looks that have an estimate with an interval and a size, by size."""
    found = [
        one for one in looks if None not in (one.delta_rel, one.ci_low, one.ci_high, one.searches)
    ]
    return sorted(found, key=lambda one: one.searches or 0)


def bars(looks: Sequence[LookPoint]) -> list[str]:
    """A line a look: number, searches, the interval as a bar around the change, the numbers.

    ``|`` is no change, ``●`` the estimate; ``‹`` and ``›`` go on beyond the bar.
    """
    points = drawable(looks)
    if not points:
        return []
    reach = _reach(points)
    lines = []
    for one in points:
        cells = [" "] * BAR
        for at in range(_cell(one.ci_low, reach), _cell(one.ci_high, reach) + 1):
            cells[at] = "─"
        if _n(one.ci_low) < -reach:
            cells[0] = "‹"
        if _n(one.ci_high) > reach:
            cells[-1] = "›"
        cells[BAR // 2] = "|" if cells[BAR // 2] == " " else "┼"
        cells[_cell(one.delta_rel, reach)] = "●"
        evidence = "" if one.evidence is None else f"  E {one.evidence:.3g}"
        lines.append(
            f"{one.number:>3} {one.searches:>8} {''.join(cells)} "
            f"{percent(one.delta_rel, signed=True)} "
            f"({percent(one.ci_low, signed=True)} … {percent(one.ci_high, signed=True)}){evidence}"
        )
    return lines


def svg(looks: Sequence[LookPoint], labels: Labels, needed: float | None) -> str:
    """The change with its interval over searches, and below it the evidence, as one SVG."""
    points = drawable(looks)
    proof = [one for one in points if one.evidence is not None and one.evidence > 0]
    with_proof = bool(proof) and needed is not None and needed > 0
    height = TOP + GAIN_HEIGHT + GAP + (EVIDENCE_HEIGHT + GAP if with_proof else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(labels.title)}</title><style>{_STYLE}</style>",
        _text(LEFT, 22, labels.title, "title"),
    ]
    if points:
        most = float(max(one.searches or 1 for one in points)) or 1.0
        parts += _gain(points, labels, most)
        if with_proof and needed is not None:
            parts += _evidence(proof, labels, most, needed)
        parts.append(_text(WIDTH - RIGHT, height - 8, labels.x, anchor="end"))
    else:
        parts.append(_text(LEFT, TOP + 30, labels.none))
    return "\n".join([*parts, "</svg>"]) + "\n"


def page(
    title: str,
    language: str,
    lines: Sequence[str],
    table: Sequence[Sequence[object]],
    picture: str,
) -> str:
    """One HTML page with nothing from outside: words, picture and table (its first row: titles)."""
    rows = "".join(
        "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>\n"
        for row, tag in ((row, "th" if at == 0 else "td") for at, row in enumerate(table))
    )
    words = "".join(f"<p>{escape(line)}</p>\n" for line in lines)
    return (
        f'<!doctype html>\n<html lang="{escape(language)}"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>body{{font:15px sans-serif;max-width:760px;"
        "margin:2em auto}td,th{padding:2px 12px 2px 0;text-align:left}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{words}{picture}<table>\n{rows}</table></body></html>\n"
    )


def _gain(points: Sequence[LookPoint], labels: Labels, most: float) -> list[str]:
    reach = _reach(points)
    low = max(-reach, min(0.0, *(_n(one.ci_low) for one in points)))
    high = min(reach, max(0.0, *(_n(one.ci_high) for one in points)))
    room = (high - low) * 0.06 or 0.01
    low, high = low - room, high + room

    def y(value: float | None) -> float:
        inside = min(max(_n(value), low), high)
        return TOP + GAIN_HEIGHT * (high - inside) / (high - low)

    xs = [_x(one, most) for one in points]
    upper = [f"{x:.1f},{y(one.ci_high):.1f}" for x, one in zip(xs, points, strict=True)]
    lower = [f"{x:.1f},{y(one.ci_low):.1f}" for x, one in zip(xs, points, strict=True)]
    middle = [f"{x:.1f},{y(one.delta_rel):.1f}" for x, one in zip(xs, points, strict=True)]
    parts = [_text(LEFT, TOP - 4, labels.gain)]
    for value in (low + room, 0.0, high - room):
        parts.append(_text(LEFT - 6, y(value) + 4, percent(value, signed=True), anchor="end"))
    parts.append(_line(LEFT, y(0.0), WIDTH - RIGHT, y(0.0), "zero"))
    parts.append(_line(LEFT, TOP, LEFT, TOP + GAIN_HEIGHT, "axis"))
    if len(points) > 1:
        parts.append(f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>')
        parts.append(f'<polyline class="line" points="{" ".join(middle)}"/>')
    for x, one in zip(xs, points, strict=True):
        parts.append(_line(x, y(one.ci_low), x, y(one.ci_high), "line"))
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y(one.delta_rel):.1f}" r="3"/>')
    below = TOP + GAIN_HEIGHT + 16
    for at in sorted({0, len(points) - 1}):
        parts.append(_text(xs[at], below, str(points[at].searches), anchor="middle"))
    return parts


def _evidence(points: Sequence[LookPoint], labels: Labels, most: float, needed: float) -> list[str]:
    top = TOP + GAIN_HEIGHT + GAP
    values = [math.log10(min(max(_n(one.evidence), 1e-6), MOST_EVIDENCE)) for one in points]
    low, high = min(-1.0, *values), max(math.log10(needed) + 0.3, *values)

    def y(value: float) -> float:
        return top + EVIDENCE_HEIGHT * (high - value) / (high - low)

    wanted = y(math.log10(needed))
    spots = [(_x(one, most), y(value)) for one, value in zip(points, values, strict=True)]
    path = " ".join(f"{x:.1f},{at:.1f}" for x, at in spots)
    return [
        _text(LEFT, top - 8, labels.evidence),
        _line(LEFT, top, LEFT, top + EVIDENCE_HEIGHT, "axis"),
        _line(LEFT, wanted, WIDTH - RIGHT, wanted, "needed"),
        _text(LEFT - 6, wanted + 4, f"{needed:g}", anchor="end"),
        _text(LEFT - 6, y(0.0) + 4, "1", anchor="end"),
        f'<polyline class="proof" points="{path}"/>',
        *(f'<circle class="proven" cx="{x:.1f}" cy="{at:.1f}" r="3"/>' for x, at in spots),
    ]


def escape(text: object) -> str:
    """Text for a page: no markup, and no character that XML has no place for."""
    return html_escape(safe(text))


def _x(one: LookPoint, most: float) -> float:
    return LEFT + 10 + (WIDTH - LEFT - RIGHT - 30) * (one.searches or 0) / most


def _reach(points: Sequence[LookPoint]) -> float:
    """How far from no change is drawn: first looks are wild, and cut at twice the middle one."""
    ends = sorted(max(abs(_n(one.ci_low)), abs(_n(one.ci_high))) for one in points)
    return min(ends[-1], 2.0 * ends[(len(ends) - 1) // 2]) or 1.0


def _cell(value: float | None, reach: float) -> int:
    inside = min(max(_n(value), -reach), reach)
    return round((inside / reach + 1.0) / 2.0 * (BAR - 1))


def _n(value: float | None) -> float:
    return 0.0 if value is None else value


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
