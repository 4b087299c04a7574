"""How much a text may become, and that what is made to be hard is not."""

import resource
import signal
from collections.abc import Iterator

import pytest
from justhtml import JustHTML

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.markup import MOST_HTML_BYTES, MOST_IMAGES
from remote_worker.contract.texts import RenderMarkdown
from remote_worker.decoder import markdown
from remote_worker.decoder.nesting import DEEPEST

LENGTH = 100_000


def rendered(text: str) -> str:
    return markdown.render(RenderMarkdown(), text.encode()).parts["html"].decode()


def refused(text: str) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        rendered(text)
    return failed.value.code


def test_html_has_so_many_bytes_and_not_one_more() -> None:
    text = "é" * (MOST_HTML_BYTES // 2 - 4)  # In <p> and </p>, with a line's end.

    assert len(rendered(text).encode()) == MOST_HTML_BYTES
    assert refused(f"{text}x") is FailureCode.OUTPUT_TOO_LARGE


def test_links_made_of_mentions_count_too() -> None:
    assert refused("@a " * (MOST_HTML_BYTES // 24)) is FailureCode.OUTPUT_TOO_LARGE


def test_a_text_has_so_many_pictures_and_not_one_more() -> None:
    read = markdown.render(RenderMarkdown(), b"![](a)" * MOST_IMAGES)

    assert len(read.facts["images"]) == MOST_IMAGES
    assert refused("![](a)" * (MOST_IMAGES + 1)) is FailureCode.OUTPUT_TOO_LARGE


def depth(html: str) -> int:
    deepest, level = 0, [JustHTML(html, fragment=True, sanitize=False).root]
    while level := [child for node in level for child in getattr(node, "children", None) or ()]:
        deepest += 1
    return deepest


@pytest.mark.parametrize(("opening", "closing"), [("<div>", "</div>"), ("<ul><li>", "</li></ul>")])
def test_elements_are_so_deep_and_not_one_deeper(opening: str, closing: str) -> None:
    times = DEEPEST // opening.count("<")

    # With the text in the middle.
    assert depth(rendered(opening * times + "x" + closing * times)) == DEEPEST + 1
    deeper = rendered(opening * (times + 1) + "x" + closing * (times + 1))
    assert depth(deeper) == DEEPEST + 1
    assert "x" in deeper


def test_quotes_in_quotes_end_somewhere_and_their_text_does_not() -> None:
    html = rendered(">" * 5000 + "x")

    assert html.count("<blockquote>") == DEEPEST
    assert "x" in html


@pytest.fixture
def time_limit() -> Iterator[None]:
    """Ends the test after ten seconds of processor time; a text of this length takes a tenth of one."""
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    limits = resource.getrlimit(resource.RLIMIT_CPU)
    before = signal.signal(signal.SIGXCPU, _too_long)
    resource.setrlimit(resource.RLIMIT_CPU, (used + 10, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CPU, limits)
    signal.signal(signal.SIGXCPU, before)


def _too_long(*_: object) -> None:
    raise AssertionError("it takes much longer than in proportion to its length")


HARD = (
    ">", "> ", "[", "](", "![", "*a ", "*a_ ", "**x** ", "<", "<a ", '<a x="', "<a x='\"' ", "<div>",
    "<div>\n\n", "<b>", "</b>", "<b></i>", "<p>", "</p>", "<table>", "<table><tr><td>", "<table>x",
    "<a href=x>y", "<li>", "<pre>", "<h1>", "<code class=language-x>", "<b><i><em><strong><tt><div>x</div>",
    "<a><table><td>", "<!-- ", "x <!-", "x <?", "x <!A ", "x <![CDATA[", "@", "@a", "你@", "|", "|a|\n|-|\n",
    "- a\n", "- ", "`", "``a`", "~~a", "http:", "http://", "www.", "a@", "a@b.", "a_", "&", "&amp;", "&nbsp;",
    '"', "[a]: b\n", "\\", "# a\n", "***\n", "[a](", "[a](<b", '[a](b "', "\0", "\x01", "\r", "<input>",
    "<br>", "<x>", "a<b", "1. ", "    x\n", "_a*b*c_ ", "a**b", "((", "[a](b)", "x\n\n", "<a x=y ", "-->",
)  # fmt: skip


@pytest.mark.usefixtures("time_limit")
@pytest.mark.parametrize("piece", HARD, ids=ascii)
def test_what_is_repeated_often_takes_time_in_proportion(piece: str) -> None:
    html = rendered(piece * (LENGTH // len(piece)))

    assert len(html.encode()) <= MOST_HTML_BYTES


@pytest.mark.usefixtures("time_limit")
def test_elements_that_differ_and_stay_open_are_not_opened_again_in_each_paragraph() -> None:
    html = rendered("".join(f"<b a={number}>" for number in range(5000)) + "\n\nx" * 10_000)

    assert html.count("<b>") <= 1
    assert html.count("<p>x</p>") == 10_000


@pytest.mark.usefixtures("time_limit")
def test_a_table_with_more_columns_than_cells_is_not_filled_up_for_ever() -> None:
    head = f"{'|a' * 5000}\n{'|-' * 5000}\n"

    assert refused(head + "|b\n" * 20_000) is FailureCode.OUTPUT_TOO_LARGE


@pytest.mark.parametrize(
    ("text", "times"),
    [(b"*a* " * 20_000, 20), (b"a" * 1_000_000, 80)],  # A tree of 10 MB, and a result of 1 MB.
    ids=["tree", "result"],
)
def test_memory_of_rendered_texts_is_given_back(text: bytes, times: int) -> None:
    for _ in range(3):
        markdown.render(RenderMarkdown(), text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(times):
        markdown.render(RenderMarkdown(), text)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
