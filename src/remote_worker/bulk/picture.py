"""A picture of a finished job, as SVG: the course, what failed, times and sizes.

The same report gives the same bytes. It has nothing from elsewhere, follows the reader's colour scheme, and
shows no keys: those are strangers' texts.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from .report import Report
from .words import in_bytes, in_milliseconds, in_time, plain

WIDTH, HEIGHT = 860, 610
SHOWN_CODES = 8
_LEFT, _RIGHT = 30, 450
_PANEL = 380
_STYLE = """
:root { --page: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d8dee4; --blue: #0969da; --sky: #80c0fb;
  --red: #cf222e; --green: #1a7f37 }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --ink: #e6edf3; --faint: #9198a1;
  --grid: #2a313c; --blue: #4493f8; --sky: #1f5a9c; --red: #f85149; --green: #3fb950 } }
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: var(--ink) }
.title { font-size: 17px; font-weight: 600 } .head { font-weight: 600; font-size: 13px }
.faint { fill: var(--faint); font-size: 11px } .end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: var(--grid); fill: none } .line { stroke: var(--blue); stroke-width: 2; fill: none }
.area { fill: var(--blue); opacity: .13 }
""".strip()


def draw(report: Report) -> str:
    """The picture."""
    words = _told(report)
    title = f"{plain(report['recipe'], 70)}"
    body = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="var(--page)"/>',
        _text(_LEFT, 38, title, "title"),
        _text(_LEFT, 60, words, "faint"),
        *_course(report, _LEFT, 92),
        *_codes(report, _RIGHT, 92),
        *_times(report, _LEFT, 352),
        *_sizes(report, _RIGHT, 352),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="title told">\n<title id="title">{escape(title)}</title>\n'
        f'<desc id="told">{escape(words)}</desc>\n<style>\n{_STYLE}\n</style>'
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"


def _told(report: Report) -> str:
    seconds = report["last_commit"] - report["planned"]
    told = (
        f"{report['items']:,} items in {in_time(seconds)}: {report['made']:,} made, "
        f"{report['failed']:,} failed"
    )
    if report["bytes_in"]:
        told += f"; {in_bytes(report['bytes_in'])} became {in_bytes(report['bytes_out'])}"
    return f"{told}. Job {plain(report['job'], 64)}"


def _course(report: Report, x: float, y: float) -> Iterator[str]:
    """Rows over time."""
    yield _text(x, y, "Items done over time", "head")
    top, bottom, left, right = y + 18, y + 190, x + 44, x + _PANEL - 12
    points = [(0.0, 0), *((max(0.0, seconds), rows) for seconds, rows in report["course"])]
    longest, most = max(points[-1][0], 1.0), max(points[-1][1], 1)
    for part in range(5):
        at = bottom - (bottom - top) * part / 4
        yield _line(left, at, right, at)
        yield _text(left - 6, at + 4, _short(most * part / 4), "faint end")
        across = left + (right - left) * part / 4
        yield _text(across, bottom + 17, in_time(longest * part / 4), "faint middle")
    # A part is there all at once: between two the line stays.
    path = f"M{left:.1f} {bottom:.1f}"
    for seconds, rows in points[1:]:
        path += (
            f" H{left + (right - left) * seconds / longest:.1f} V{bottom - (bottom - top) * rows / most:.1f}"
        )
    yield f'<path class="area" d="{path} V{bottom:.1f} Z"/>'
    yield f'<path class="line" d="{path}"/>'


def _codes(report: Report, x: float, y: float) -> Iterator[str]:
    """What was not made, and why."""
    yield _text(x, y, "What failed, by code", "head")
    codes: Sequence[Mapping[str, Any]] = report["codes"]
    if not codes:
        yield _text(x, y + 32, "Nothing: every item was made.", "faint")
        return
    shown = [(plain(one["code"], 22), one["count"]) for one in codes[:SHOWN_CODES]]
    rest = sum(one["count"] for one in codes[SHOWN_CODES:])
    if rest:
        shown.append((f"{len(codes) - SHOWN_CODES} others", rest))
    most = max(count for _, count in shown)
    for at, (code, count) in enumerate(shown):
        row = y + 22 + at * 21
        length = max(1.5, 170 * count / most)
        yield _text(x + 148, row + 11, code, "end")
        yield _bar(x + 156, row, length, 14, "red")
        yield _text(x + 162 + length, row + 11, f"{count:,}", "faint")


def _times(report: Report, x: float, y: float) -> Iterator[str]:
    """How long items took."""
    took = report["milliseconds"]
    yield _text(x, y, "Time for an item", "head")
    if not took["count"]:
        yield _text(x, y + 32, "Nothing was made in this job.", "faint")
        return
    told = ", ".join(f"{name} {in_milliseconds(took[name])}" for name in ("p50", "p90", "p99"))
    yield _text(x, y + 19, told, "faint")
    groups = [(start, (count,)) for start, count in took["doublings"]]
    yield from _columns(groups, ("blue",), x, y, in_milliseconds)


def _sizes(report: Report, x: float, y: float) -> Iterator[str]:
    """How large they were and are."""
    yield _text(x, y, "Size of an item, before and after", "head")
    before = dict(report["source_bytes"].get("doublings", ()))
    after = dict(report["output_bytes"].get("doublings", ()))
    starts = [*before, *after]
    if not starts:
        yield _text(x, y + 32, "Nothing was made.", "faint")
        return
    yield _bar(x, y + 10, 10, 10, "sky")
    yield _text(x + 15, y + 19, f"before, {in_bytes(report['bytes_in'])} in all", "faint")
    yield _bar(x + 190, y + 10, 10, 10, "green")
    yield _text(x + 205, y + 19, f"after, {in_bytes(report['bytes_out'])} in all", "faint")
    groups = []
    start = min(starts)
    while start <= max(starts):
        groups.append((start, (before.get(start, 0), after.get(start, 0))))
        start *= 2
    yield from _columns(groups, ("sky", "green"), x, y, in_bytes)


def _columns(
    groups: Sequence[tuple[float, Sequence[int]]], colors: Sequence[str], x: float, y: float, name: Any
) -> Iterator[str]:
    """A histogram over doublings, each from its start to twice that."""
    top, bottom, left, right = y + 34, y + 208, x + 44, x + _PANEL - 12
    most = max(count for _, counts in groups for count in counts)
    for part in range(5):
        at = bottom - (bottom - top) * part / 4
        yield _line(left, at, right, at)
        yield _text(left - 6, at + 4, _short(most * part / 4), "faint end")
    step = (right - left) / len(groups)
    every = -(-len(groups) // 6)
    for at, (start, counts) in enumerate(groups):
        wide = step * 0.84 / len(counts)
        for of, (count, color) in enumerate(zip(counts, colors, strict=True)):
            high = (bottom - top) * count / most
            if count:
                across = left + step * at + step * 0.08 + wide * of
                yield _bar(across, bottom - max(high, 1), wide, max(high, 1), color)
        if at % every == 0:
            yield _text(left + step * at, bottom + 17, name(start), "faint middle")


def _short(count: float) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path class="grid" d="M{x:.1f} {y:.1f} L{to_x:.1f} {to_y:.1f}"/>'


def _bar(x: float, y: float, width: float, height: float, color: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5" '
        f'fill="var(--{color})"/>'
    )
