"""The tags of a head are those that a parser of the standard finds, whatever it is written like."""

from random import Random

import pytest

from decoder.page.oracle import metas_and_title
from decoder.page.samples import SAMPLES, Sample
from remote_worker.decoder.page import charset, scanner
from remote_worker.decoder.page.scanner import Reader, head

# A parser makes these part of the body, which is not read.
IN_BODY = {"markup-body-ends", "markup-after-head", "markup-loose"}


def scanned(text: str) -> tuple[list[dict[str, str]], str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    found = head(Reader(text))
    return found.metas, found.title


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if sample.name not in IN_BODY], ids=lambda sample: sample.name
)
def test_the_pages_have_the_metas_that_a_parser_finds(sample: Sample) -> None:
    text, _ = charset.decode(sample.data, sample.charset)

    assert scanned(text) == metas_and_title(text.replace("\0", "\ufffd"))


VALUES = (
    "plain",
    "a > b < c",
    "&amp;&lt;&quot;&#39;&#x4e00;&copy;&nbsp;",
    "/x?a=1&copy=2&amp=3&reg;=4&notit;&notin;&ltx;&#0;&#128;&#xD800;&#x110000;&#1114112&",
    "<meta name=no content=no>",
    "<!-- -->",
    "日本語 \U0001f600 é",
    "",
    "/",
    "=",
    "a/b//c",
)
BETWEEN = (
    "",
    "\n",
    "<!-- c -->",
    "<!---->",
    "<!-->",
    "<!--->",
    "<!-- a --!>",
    "<!-- <!-- -->",
    "<!-- -- > -->",
    "<!x>",
    "<?y ?>",
    "</>",
    "</ z>",
    "<script>if (a < b) '<meta name=no>'</script>",
    "<script><!-- <script></script><meta name=no></script>",
    "<script><!-- <script></script><meta name=no> --></script>",
    "<script><!--></script>",
    "<script><!-- <scripty></script>",
    "<style><meta name=no></style >",
    "<link rel=x href='<meta name=no>'>",
    "<noscript><link><meta name=yes content=1></noscript>",
    "<base href=/>",
    "<noframes><meta name=no></noframes>",
)
NAMES = ("name", "property", "CONTENT", "Http-Equiv", "itemprop", "x:y", "a", '"q', "=e", "é")


def written(random: Random, value: str) -> str:
    """An attribute's value in one of the ways of writing one, with its equals sign."""
    space = random.choice(["", "", " ", "\n"])
    kinds = ['"', "'"]
    if value and not set(value) & set(" \t\n\r\f>\"'") and not value.endswith("/"):
        kinds.append("")
    quote = random.choice(kinds)
    if quote:
        value = value.replace(quote, "&quot;" if quote == '"' else "&#39;")
    return f"{space}={space}{quote}{value}{quote}"


def made(random: Random) -> str:
    """A head that a browser leaves in its place."""
    pieces = ["<!DOCTYPE html>", "<html lang=en>", "<head>"]
    for _ in range(random.randrange(12)):
        pieces.append(random.choice(BETWEEN))
        if random.random() < 0.2:
            value = random.choice(VALUES).replace("</", "")
            pieces.append(f"<title>{value}</title>")
        attributes = [
            name + (written(random, random.choice(VALUES)) if random.random() < 0.9 else "")
            for name in random.choices(NAMES, k=random.randrange(5))
        ]
        start = random.choice(["<meta", "<META", "<Meta"])
        pieces.append(start + "".join(f"{random.choice([' ', chr(10), ' / '])}{a}" for a in attributes))
        pieces.append(random.choice([">", " >", " />"]))
    return "".join([*pieces, "</head><body></body></html>"])


@pytest.mark.parametrize("seed", range(25))
def test_heads_made_at_random_have_the_metas_that_a_parser_finds(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):
        text = made(random)

        assert scanned(text) == metas_and_title(text), text


@pytest.mark.parametrize(
    "tag", ["a=>", "a= >", "a= b=>", "=>", "==>", "a==>", "a='' =>", "/a=/>", "a/=/b>", "a=b/>"]
)
def test_an_equals_sign_without_a_value_is_that(tag: str) -> None:
    assert scanned(f"<meta {tag}<meta x>") == metas_and_title(f"<meta {tag}<meta x>")


def test_only_so_many_tags_are_kept() -> None:
    metas = "<meta name=a content=b>" * scanner.MOST_FOUND

    assert len(head(Reader(metas)).metas) == 2000
    assert len(head(Reader(metas + "<meta name=a>")).metas) == 2000


def test_only_so_many_tags_are_looked_at() -> None:
    assert head(Reader("<i>" * 19_999 + "<meta name=a>")).metas == [{"name": "a"}]
    assert head(Reader("<i>" * 20_000 + "<meta name=a>")).metas == []


@pytest.mark.parametrize("padding", ["", "x" * 300])
def test_only_so_many_attributes_of_a_tag_are_read(padding: str) -> None:
    names = [f"a{number}" for number in range(51)]
    names[0] += padding

    assert list(head(Reader(f"<meta {' '.join(names[:50])}>")).metas[0]) == names[:50]
    assert list(head(Reader(f"<meta {' '.join(names)}>")).metas[0]) == names[:50]


def test_only_so_much_of_a_value_is_read() -> None:
    metas = head(
        Reader(f"<meta content={'x' * 4096}><meta content={'x' * 4097}><meta content={'y' * 5000}>")
    ).metas

    assert [meta["content"] for meta in metas] == ["x" * 4096, "x" * 4096, "y" * 4096]
    assert head(Reader(f"<title>{'x' * 5000}</title>")).title == "x" * 4096


def test_entities_are_decoded_in_so_many_characters_of_values() -> None:
    value = "&lt;" * 1024
    metas = head(Reader(f'<meta content="{value}">' * 33 + "<meta content=x><meta content=&lt;>")).metas

    assert [meta["content"] for meta in metas] == ["<" * 1024] * 32 + ["", "x", ""]


def test_what_never_ends_hides_only_what_is_behind_it() -> None:
    for rest in ("<!-- ", "<script>", "<style>", "<iframe>", "<xmp>", "<plaintext>", "<a b='", "</a ", "<?x"):
        assert head(Reader(f"<meta name=a>{rest}<meta name=b>")).metas[:1] == [{"name": "a"}]
        assert len(head(Reader(f"<meta name=a>{rest}<meta name=b")).metas) == 1
