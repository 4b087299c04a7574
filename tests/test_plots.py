"""The pictures of what was measured: drawn from the tables, current, and readable for everybody."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import bulk_sample
from scripts import make_plots

ROOT = Path(__file__).resolve().parents[1]
PAGE = "".join((ROOT / "docs" / name).read_text() for name in ("speed.md", "scale.md"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """Every picture, drawn now."""
    return make_plots.drawn()


def test_the_pictures_are_those_of_the_tables_as_they_are(drawn: dict[str, str]) -> None:
    kept = {path.stem: path.read_text() for path in make_plots.PICTURES.glob("*.svg")}

    for name, text in drawn.items():
        assert kept[name] == text, f"docs/pictures/{name}.svg is stale: run scripts/plots"


def test_another_figure_makes_another_picture(drawn: dict[str, str], tmp_path: Path) -> None:
    table = (make_plots.TABLES / "links.md").read_text()
    assert "| 618 |" in table

    for name in make_plots.PLOTS:
        (tmp_path / f"{name}.md").write_text((make_plots.TABLES / f"{name}.md").read_text())
    (tmp_path / "links.md").write_text(table.replace("| 618 |", "| 777 |"))
    changed = make_plots.drawn(tmp_path)

    assert {name for name in drawn if drawn[name] != changed[name]} == {"links"}
    assert ">777</text>" in changed["links"]


def test_each_bar_beside_another_server_has_the_figure_of_its_table(drawn: dict[str, str]) -> None:
    table = (make_plots.TABLES / "side_by_side.md").read_text()
    ratios = re.findall(r"^\| (\w.*?) \| sharp.*?x \| .*?x \| ([\d.]+)x \|", table, re.M)
    texts = [element.text for element in ElementTree.fromstring(drawn["side_by_side"]).iter(f"{SVG}text")]

    assert len(ratios) == 15
    for cell, ratio in ratios:
        assert cell in texts
        assert ratio in texts


@pytest.mark.parametrize("name", make_plots.PLOTS)
def test_a_picture_has_words_both_schemes_and_nothing_from_elsewhere(
    drawn: dict[str, str], name: str
) -> None:
    root = ElementTree.fromstring(drawn[name])

    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title told")
    title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert told is not None
    assert title.text
    assert len(told.text or "") > 40
    assert "prefers-color-scheme: dark" in drawn[name]
    # Every colour is one of those that change with the scheme.
    assert not re.search(r'style="[^"]*#[0-9a-f]{3}', drawn[name])
    links = {value for element in root.iter() for key, value in element.items() if key.endswith("href")}
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"20[0-9]{2}-[0-9]{2}|atplotlib v", drawn[name])


def test_every_picture_is_on_the_page_with_words_in_its_place() -> None:
    shown = dict(re.findall(r"!\[([^\]]+)\]\(pictures/(\w+)\.svg\)", PAGE))

    assert set(shown.values()) == set(make_plots.PLOTS)
    assert all(len(words) > 40 for words in shown)


def test_figures_in_words_are_those_of_the_tables() -> None:
    (words,) = re.findall(r"!\[(Bars: [0-9][^\]]+)\]", PAGE)
    rows = make_plots.read((make_plots.TABLES / "links.md").read_text())["Links"]

    assert [row["a second"] for row in rows] == re.findall(r"\d{3,}", words)


@pytest.mark.parametrize(
    ("text", "value"), [("1.43x", 1.43), ("17.0 (1.00x)", 17.0), ("-0.53", -0.53), ("1,163", 1163)]
)
def test_a_number_is_read_from_the_beginning(text: str, value: float) -> None:
    assert make_plots.number(text) == value


def test_what_begins_with_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with no number"):
        make_plots.number("over the largest upload")


def test_the_sample_of_a_bulk_report_is_as_it_is_drawn_now() -> None:
    kept = (make_plots.PICTURES / "bulk-report.svg").read_text()

    assert kept == bulk_sample.drawn(), "docs/pictures/bulk-report.svg is stale: run scripts/plots"
