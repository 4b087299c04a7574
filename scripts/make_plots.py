"""Draws the tables that the benchmarks keep (benchmarks/*.md) as SVG: `scripts/plots`, `--check` compares.

The pictures are the same on every machine, have their text as text, and follow the reader's colour scheme.
"""

import argparse
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmarks import bulk_sample

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "benchmarks"
PICTURES = ROOT / "docs" / "pictures"

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Color:
    """One colour in both schemes; matplotlib draws the light one."""

    light: str
    dark: str


PAGE = Color("#ffffff", "#0d1117")
INK = Color("#1f2328", "#e6edf3")
FAINT = Color("#59636e", "#9198a1")
GRID = Color("#d8dee4", "#2a313c")
BLUE = Color("#0969da", "#4493f8")
SKY = Color("#80c0fb", "#1f5a9c")
ORANGE = Color("#bc4c00", "#f0883e")
GREEN = Color("#1a7f37", "#3fb950")
PURPLE = Color("#8250df", "#ab7df8")
PINK = Color("#d4488e", "#f778ba")
GREY = Color("#afb8c1", "#6e7681")
COLORS = {
    "page": PAGE,
    "ink": INK,
    "faint": FAINT,
    "grid": GRID,
    "blue": BLUE,
    "sky": SKY,
    "orange": ORANGE,
    "green": GREEN,
    "purple": PURPLE,
    "pink": PINK,
    "grey": GREY,
}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "remote-worker",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK.light,
    "axes.labelcolor": FAINT.light,
    "axes.edgecolor": GRID.light,
    "axes.facecolor": PAGE.light,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": PAGE.light,
    "grid.color": GRID.light,
    "xtick.color": FAINT.light,
    "ytick.color": FAINT.light,
    "xtick.labelcolor": FAINT.light,
    "ytick.labelcolor": INK.light,
    "ytick.major.size": 0,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, what it is for those who cannot see it, and how it is drawn from a benchmark's tables."""

    title: str
    draw: Callable[[Mapping[str, list[Row]]], tuple[Figure, str]]
    """Gives the figure, and in words what it shows."""


def main() -> int:
    """Draw or compare; the status is 1 when a picture is stale."""
    parser = argparse.ArgumentParser(prog="scripts/plots", description=__doc__)
    parser.add_argument("--check", action="store_true", help="say which pictures are stale, and change none")
    check = parser.parse_args().check
    pictures = {**drawn(), "bulk-report": bulk_sample.drawn()}
    stale = {name: text for name, text in pictures.items() if _kept(name) != text}
    for name, text in stale.items():
        if check:
            print(f"docs/pictures/{name}.svg is stale: run scripts/plots", file=sys.stderr)
        else:
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / f"{name}.svg").write_text(text)
    return 1 if check and stale else 0


def drawn(tables: Path = TABLES) -> dict[str, str]:
    """Every picture by its name, which is that of its benchmark."""
    pictures = {}
    with matplotlib.rc_context():
        matplotlib.rcParams.update(STYLE)
        for name, plot in PLOTS.items():
            figure, told = plot.draw(read((tables / f"{name}.md").read_text()))
            pictures[name] = _svg(figure, plot.title, told)
    return pictures


def read(page: str) -> dict[str, list[Row]]:
    """The tables of a page by the heading above them; of several below one, the first."""
    found: dict[str, list[Row]] = {}
    for part in re.split(r"^#+ ", page, flags=re.M)[1:]:
        heading, _, rest = part.partition("\n")
        block = re.search(r"(?:^\|.*\n?)+", rest, re.M)
        if block is not None:
            titles, _, *rows = ([cell.strip() for cell in _cells(line)] for line in block[0].splitlines())
            found[heading] = [dict(zip(titles, row, strict=True)) for row in rows]
    return found


def number(text: str) -> float:
    """The number at the beginning, such as of `1.43x` or `17.0 (1.00x)`."""
    found = re.match(r"-?[\d,]+(?:\.\d+)?", text)
    if found is None:
        raise ValueError(f"{text!r} begins with no number")
    return float(found[0].replace(",", ""))


def _cells(line: str) -> list[str]:
    return line.strip().removeprefix("|").removesuffix("|").split("|")


def _side_by_side(tables: Mapping[str, list[Row]]) -> tuple[Figure, str]:
    rows = sorted(tables["Ratios"], key=lambda row: number(row["units/s"]))
    figure = Figure(figsize=(8.4, 5.2), layout=_layout())
    axes = figure.subplots()
    kinds = {"avatars": BLUE, "fit": GREEN, "prepare": PURPLE}
    for at, row in enumerate(rows):
        value = number(row["units/s"])
        color = kinds[row["cell"].split()[0]]
        axes.barh(at, value - 1, left=1, color=color.light, height=0.62)
        axes.text(value * 1.04, at, f"{value:.2f}", va="center", color=INK.light)
    axes.set_yticks(range(len(rows)), [row["cell"] for row in rows])
    axes.set_xscale("log")
    axes.set_xlim(0.93, 60)
    axes.set_xticks(
        [1, 2, 5, 10, 20, 50], ["as many", "2 times", "5 times", "10 times", "20 times", "50 times"]
    )
    axes.minorticks_off()
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.axvline(1, color=FAINT.light, linewidth=1.2)
    axes.set_title("Requests a second, times those of a node server with sharp")
    axes.set_xlabel("one core, four connections, with the seal on; logarithmic")
    low, high = rows[0], rows[-1]
    told = (
        f"From {number(low['units/s']):.2f} times as many requests ({low['cell']}) to "
        f"{number(high['units/s']):.2f} times ({high['cell']})."
    )
    return figure, told


PARTS = (
    ("decode", BLUE),
    ("resize", SKY),
    ("encode", GREEN),
    ("rest", GREY),
    ("children - floor", ORANGE),
    ("template", PURPLE),
    ("front", PINK),
)
NAMES = {
    "rest": "other work",
    "children - floor": "a process of its own",
    "template": "forking",
    "front": "HTTP and checks",
}


def _floor(tables: Mapping[str, list[Row]]) -> tuple[Figure, str]:
    rows = tables["The service against its floor"][::-1]
    figure = Figure(figsize=(8.4, 5.4), layout=_layout())
    axes = figure.subplots()
    for at, row in enumerate(rows):
        figures = {name: max(0.0, number(row[name])) for name, _ in PARTS}
        whole, left = sum(figures.values()), 0.0
        for name, color in PARTS:
            share = 100 * figures[name] / whole
            axes.barh(at, share, left=left, color=color.light, height=0.68)
            left += share
        axes.text(101, at, f"{number(row['service']):.1f} ms", va="center", color=INK.light)
    axes.set_yticks(range(len(rows)), [row["cell"] for row in rows])
    axes.set_xlim(0, 112)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("What the CPU time of one request goes into", pad=44)
    axes.legend(
        [matplotlib.patches.Patch(color=color.light) for _, color in PARTS],
        [NAMES.get(name, name) for name, _ in PARTS],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=4,
        handlelength=1,
        columnspacing=1.4,
        borderaxespad=0.2,
    )
    over = {row["cell"]: number(row["service / floor"]) for row in rows}
    least, most = min(over, key=lambda cell: over[cell]), max(over, key=lambda cell: over[cell])
    told = (
        f"The whole takes {over[least]:.2f} times the CPU time of the bare work ({least}) to "
        f"{over[most]:.2f} times ({most})."
    )
    return figure, told


def _scaling(tables: Mapping[str, list[Row]]) -> tuple[Figure, str]:
    figure = Figure(figsize=(8.4, 3.9), layout=_layout())
    left, right = figure.subplots(1, 2)
    counts = [title for title in tables["Over cores"][0] if title[0].isdigit()]
    cores = [int(number(title)) for title in counts]
    left.plot(cores, cores, color=GREY.light, linestyle=(0, (4, 3)), linewidth=1.3)
    left.text(2.9, 3.1, "one for one", color=FAINT.light, ha="right")
    best = 0.0
    for row, color in zip(tables["Over cores"], (BLUE, PURPLE, GREEN), strict=True):
        times = [number(row[title]) / number(row[counts[0]]) for title in counts]
        best = max(best, times[-1])
        left.plot(cores, times, color=color.light, marker="o", markersize=4.5, label=row["cell"])
    left.set_xticks(cores, [*map(str, cores[:-1]), counts[-1].replace(", ", ",\n")])
    left.set_xlabel("cores")
    left.set_ylim(0, cores[-1] + 0.2)
    left.set_title("Requests, times those of one core")
    left.set_yticks(range(cores[-1] + 1))
    left.legend(loc="lower right")
    left.grid(axis="y")
    rows = tables["Over megapixels"]
    sizes = [title for title in rows[0] if title.endswith("MP")]
    colors = {"jpeg": BLUE, "png": ORANGE, "webp": GREEN}
    for row in rows:
        task, kind = row["cell"].split()
        points = [(number(size), number(row[size])) for size in sizes if row[size][0].isdigit()]
        right.plot(
            *zip(*points, strict=True),
            color=colors[kind].light,
            linestyle="-" if task == "avatars" else (0, (4, 3)),
            marker="o",
            markersize=3.5,
            label=row["cell"],
        )
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xticks([number(size) for size in sizes], [size.removesuffix(" MP") for size in sizes])
    right.set_yticks([5, 10, 20, 50, 100, 200], ["5", "10", "20", "50", "100", "200"])
    right.minorticks_off()
    right.set_xlabel("megapixels")
    right.set_title("CPU milliseconds of one request")
    right.legend(loc="upper left", fontsize=9)
    right.grid(axis="y")
    told = (
        f"With all {cores[-1]} cores, of which the load takes a part, up to {best:.2f} times the requests "
        "of one. CPU time grows more slowly than the number of pixels."
    )
    return figure, told


def _links(tables: Mapping[str, list[Row]]) -> tuple[Figure, str]:
    rows = tables["Links"][::-1]
    names = [row["what"].replace(" of ", "\nof ").replace(", ", ",\n") for row in rows]
    figure = Figure(figsize=(8.4, 2.7), layout=_layout())
    left, right = figure.subplots(1, 2, sharey=True)
    parts = (("host", BLUE), ("fetch", ORANGE), ("jail", GREEN))
    most = max(number(row["a second"]) for row in rows)
    for at, row in enumerate(rows):
        left.barh(at, number(row["a second"]), color=BLUE.light, height=0.55)
        left.text(number(row["a second"]) + most / 50, at, row["a second"], va="center", color=INK.light)
        start = 0.0
        for part, color in parts:
            spent = number(row[f"CPU ms, {part}"])
            right.barh(at, spent, left=start, color=color.light, height=0.55, label=part if at == 0 else None)
            start += spent
        right.text(start + 0.03, at, f"{number(row['CPU ms']):.2f}", va="center", color=INK.light)
    left.set_yticks(range(len(rows)), names)
    left.set_title("A second, on one core")
    right.set_title("CPU milliseconds of one")
    left.set_xlim(0, most * 1.15)
    left.set_xticks(range(0, int(most), 2000))
    right.set_xlim(0, 1.9)
    right.set_xticks([0, 0.5, 1, 1.5], ["0", "0.5", "1", "1.5"])
    right.legend(loc="lower right", handlelength=1)
    for axes in (left, right):
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    told = "; ".join(f"{row['what']}: {row['a second']} a second" for row in rows[::-1]) + "."
    return figure, told


def _scale(tables: Mapping[str, list[Row]]) -> tuple[Figure, str]:
    rows = tables["Time to finish"]
    workers = [number(row["workers"]) for row in rows]
    worlds = list(rows[0])[2:5]
    colors = dict(zip(worlds, (ORANGE, PURPLE, BLUE), strict=True))
    figure = Figure(figsize=(8.4, 6.2), layout=_layout())
    ((hours, shares), (requests, costs)) = figure.subplots(2, 2)
    hours.plot(
        workers,
        [number(row["ideal"]) for row in rows],
        color=GREY.light,
        linestyle=(0, (4, 3)),
        label="ideal",
    )
    for name, color in colors.items():
        hours.plot(
            workers,
            [number(row[name]) for row in rows],
            color=color.light,
            marker="o",
            markersize=3.5,
            label=name,
        )
        share = [number(row[name].partition("(")[2]) for row in rows]
        shares.plot(workers, share, color=color.light, marker="o", markersize=3.5, label=name)
    for axes in (hours, shares):
        axes.set_xscale("log")
        axes.set_xticks(workers, [f"{count:.0f}" for count in workers])
        axes.minorticks_off()
        axes.set_xlabel("workers of four cores")
        axes.grid(axis="y")
    hours.set_yscale("log")
    hours.set_yticks([1, 4, 12, 48, 168], ["1 h", "4 h", "12 h", "2 days", "1 week"])
    hours.minorticks_off()
    hours.set_title("Until fifty million items are done")
    hours.legend(loc="lower left", fontsize=9)
    shares.set_title("How busy children are")
    shares.set_ylim(0, 108)
    shares.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    limits = [row for row in tables["Requests"] if row["reached by"] != "never"][::-1]
    for at, row in enumerate(limits):
        requests.barh(at, number(row["reached by"]), color=SKY.light, height=0.6)
        requests.text(number(row["reached by"]) * 1.15, at, row["reached by"], va="center", color=INK.light)
    requests.set_yticks(range(len(limits)), [row["what"].replace(": ", ":\n") for row in limits])
    requests.set_xscale("log")
    requests.set_xlim(1, 300_000)
    requests.set_xticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
    requests.minorticks_off()
    requests.set_title("Workers that reach a limit")
    money = tables["Cost of a million items"][::-1]
    for at, row in enumerate(money):
        machines = number(row["machines"])
        costs.barh(at, machines, color=BLUE.light, height=0.6)
        costs.barh(at, number(row["requests"]), left=machines, color=SKY.light, height=0.6)
        costs.text(number(row["together"]) + 0.1, at, f"${row['together']}", va="center", color=INK.light)
    costs.set_yticks(range(len(money)), [row["machine"].replace(", ", ",\n") for row in money])
    costs.set_xlim(0, 9)
    costs.set_title("Dollars for a million items")
    costs.legend(
        [matplotlib.patches.Patch(color=color.light) for color in (BLUE, SKY)],
        ["machines", "store requests"],
        loc="upper center",
        bbox_to_anchor=(0.4, -0.08),
        ncols=2,
        handlelength=1,
    )
    for axes in (requests, costs):
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
    first, last = rows[0], rows[-1]
    told = (
        f"One worker takes {first[worlds[-1]].split()[0]} hours, {last['workers']} take "
        f"{last[worlds[-1]].split()[0]} where the store has no limit in the way, and "
        f"{last[worlds[0]].split()[0]} where all is below one prefix."
    )
    return figure, told


PLOTS: Mapping[str, Plot] = {
    "side_by_side": Plot("Requests answered beside a node server with sharp", _side_by_side),
    "floor": Plot("What the CPU time of a request goes into", _floor),
    "scaling": Plot("Requests over cores, and CPU time over megapixels", _scaling),
    "scale": Plot("Fifty million items, simulated", _scale),
    "links": Plot("Previews and posts a second, and their CPU time", _links),
}


def _svg(figure: Figure, title: str, told: str) -> str:
    """The figure with a title and words for screen readers, and colours that follow the scheme."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for name, color in COLORS.items():
        text = text.replace(color.light, f"var(--{name})")
    text = text.replace("font-family: 'DejaVu Sans'", f"font-family: {FONTS}")
    lights = " ".join(f"--{name}: {color.light};" for name, color in COLORS.items())
    darks = " ".join(f"--{name}: {color.dark};" for name, color in COLORS.items())
    style = f":root {{ {lights} }}\n   @media (prefers-color-scheme: dark) {{ :root {{ {darks} }} }}"
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    head, rest = text.split(">", 1)
    head = re.sub(r'(width|height)="[\d.]+pt" ?', "", head)
    return (
        f'{head} role="img" aria-labelledby="title told">\n'
        f' <title id="title">{escape(title)}</title>\n <desc id="told">{escape(told)}</desc>\n'
        f" <style>{style}</style>{_trimmed(rest.splitlines())}\n"
    )


def _trimmed(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines)


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.12)


def _kept(name: str) -> str | None:
    path = PICTURES / f"{name}.svg"
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
