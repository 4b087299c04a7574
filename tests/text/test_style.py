"""What Markdown becomes: GitHub's flavour in the words of v2ex/remote, byte for byte where that is sane."""

import pytest

from remote_worker.contract.texts import RenderMarkdown
from remote_worker.decoder import markdown

IMAGE = 'class="embedded_image" loading="lazy" referrerpolicy="no-referrer" rel="noreferrer"'


def rendered(text: str) -> str:
    return markdown.render(RenderMarkdown(), text.encode()).parts["html"].decode()


def test_the_sample_of_the_service_before_comes_out_byte_for_byte() -> None:
    text = (
        "# Hi\n\n@livid see https://v2ex.com\n\n@livid alone\n\n```py\nx=1\n```\n\n- [x] done\n\n"
        "~~s~~ <script>alert(1)</script> ![i](http://a/b.png)\n\n|a|b|\n|-|-|\n|1|2|"
    )

    assert rendered(text) == (
        "<h1>Hi</h1>\n"
        '<p>@livid see <a href="https://v2ex.com" rel="nofollow">https://v2ex.com</a></p>\n'
        '<p>@<a href="/member/livid">livid</a> alone</p>\n'
        '<pre><code class="language-py">x=1\n</code></pre>\n'
        '<ul>\n<li><input disabled="" type="checkbox"/> done</li>\n</ul>\n'
        "<p><del>s</del> &lt;script&gt;alert(1)&lt;/script&gt; "
        '<img alt="i" class="embedded_image" loading="lazy" referrerpolicy="no-referrer" rel="noreferrer" '
        'src="http://a/b.png"/></p>\n'
        "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n"
        "<tbody>\n<tr>\n<td>1</td>\n<td>2</td>\n</tr>\n</tbody></table>"
    )


# Answers of the service before: marko 2.2.4, bleach 6.4.0, beautifulsoup4 4.15.0.
@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("# Hi", "<h1>Hi</h1>\n"),
        ("你好@livid", '<p>你好@<a href="/member/livid">livid</a></p>\n'),
        ("你好@livid **粗** 😀", "<p>你好@livid <strong>粗</strong> 😀</p>\n"),
        (
            "[x](javascript:alert(1)) a@b.com",
            '<p><a href="#harmful-link" rel="nofollow">x</a> <a href="mailto:a@b.com">a@b.com</a></p>\n',
        ),
        (
            "http://a.com/x_y_z. www.google.com",
            '<p><a href="http://a.com/x_y_z" rel="nofollow">http://a.com/x_y_z</a>. '
            '<a href="http://www.google.com" rel="nofollow">www.google.com</a></p>\n',
        ),
        (
            "a http://x.com/?a=1&b=2 b",
            '<p>a <a href="http://x.com/?a=1&amp;b=2" rel="nofollow">http://x.com/?a=1&amp;b=2</a> b</p>\n',
        ),
        (
            "http://x.com/中文路径",
            '<p><a href="http://x.com/%E4%B8%AD%E6%96%87%E8%B7%AF%E5%BE%84" rel="nofollow">'
            "http://x.com/中文路径</a></p>\n",
        ),
        (
            '[a](http://b.com "ti\\"t\'le")',
            '<p><a href="http://b.com" rel="nofollow" title="ti&quot;t\'le">a</a></p>\n',
        ),
        ("a  \nb\\\nc", "<p>a<br/>\nb<br/>\nc</p>\n"),
        ("***\n\n---", "<hr/>\n<hr/>\n"),
        ("<b>x</b> <i>y</i> <u>z</u>", "<p><b>x</b> <i>y</i> &lt;u&gt;z&lt;/u&gt;</p>\n"),
        (
            '[r](/rel) [f](#frag) [q](?x) [m](mailto:a@b.c) [ftp](ftp://x/y) [vb](vbscript:x) [f](file:///etc)',
            '<p><a href="/rel" rel="nofollow">r</a> <a href="#frag" rel="nofollow">f</a> '
            '<a href="?x" rel="nofollow">q</a> <a href="mailto:a@b.c">m</a> <a>ftp</a> '
            '<a href="#harmful-link" rel="nofollow">vb</a> <a>f</a></p>\n',
        ),
        ("![j](data:image/png;base64,AA)", f'<p><img alt="j" {IMAGE} src="#harmful-link"/></p>\n'),
        ("![x](//a/b.png 't')", f'<p><img alt="x" {IMAGE} src="//a/b.png" title="t"/></p>\n'),
        ("> q\n> @bob", '<blockquote>\n<p>q\n@<a href="/member/bob">bob</a></p>\n</blockquote>\n'),
        ("- @bob", "<ul>\n<li>@bob</li>\n</ul>\n"),
        ("# @bob", "<h1>@bob</h1>\n"),
        (
            "@a @b-c @d_e, (@f) @g.\n@h x@i",
            '<p>@<a href="/member/a">a</a> @<a href="/member/b-c">b-c</a> '
            '@<a href="/member/d_e">d_e</a>, (@f) @<a href="/member/g">g</a>.\n'
            '@<a href="/member/h">h</a> x@i</p>\n',
        ),
        ("@livid你好 x", '<p>@<a href="/member/livid你好">livid你好</a> x</p>\n'),
        ("a\xa0@b &nbsp;c", '<p>a\xa0@<a href="/member/b">b</a> \xa0c</p>\n'),
        ("foo@bar @", "<p>foo@bar @</p>\n"),
        ("~~a~~ ~b~", "<p><del>a</del> <del>b</del></p>\n"),
        ("- [ ] todo\n- [X] up", '<ul>\n<li><input disabled="" type="checkbox"/> todo</li>\n'
         '<li><input disabled="" type="checkbox"/> up</li>\n</ul>\n'),
        ("|a|\n|:-:|\n\ntext", "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead></table><p>text</p>\n"),
        ("~~~c++ x\ny\n~~~", '<pre><code class="language-c++">y\n</code></pre>\n'),
        ("- a\n- b\n  - c\n\n  d", "<ul>\n<li>\n<p>a</p>\n</li>\n<li>\n<p>b</p>\n<ul>\n<li>c</li>\n</ul>\n"
         "<p>d</p>\n</li>\n</ul>\n"),
        ('<a href="https://a.com">https://a.com</a>',
         '<p><a href="https://a.com" rel="nofollow">https://a.com</a></p>\n'),
        ("[ref]\n\n[ref]: http://ref.com \"T\"",
         '<p><a href="http://ref.com" rel="nofollow" title="T">ref</a></p>\n'),
        ("![](x)", f'<p><img alt="" {IMAGE} src="x"/></p>\n'),
        ("<span style='x'>s</span><!-- c -->", "<p><span>s</span></p>\n"),
        ("a <unknown attr='1'>b</unknown>", "<p>a &lt;unknown attr='1'&gt;b&lt;/unknown&gt;</p>\n"),
    ],
)  # fmt: skip
def test_as_the_service_before_has_it(text: str, html: str) -> None:
    assert rendered(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        # Live there: markup out of escaped text.
        (
            "x &lt;img src=x onerror=alert(1)&gt; @bob",
            '<p>x &lt;img src=x onerror=alert(1)&gt; @<a href="/member/bob">bob</a></p>\n',
        ),
        ("`@bob`", "<p><code>@bob</code></p>\n"),
        ("**@bob**", "<p><strong>@bob</strong></p>\n"),
        ("```\na<b>&\n```", "<pre><code>a&lt;b&gt;&amp;\n</code></pre>\n"),
        ("`http://x.com`", "<p><code>http://x.com</code></p>\n"),
        ("see example.com", "<p>see example.com</p>\n"),
        ("<a@b.com>", '<p><a href="mailto:a@b.com">a@b.com</a></p>\n'),
        ("<b>unclosed\n\nx", "<p><b>unclosed</b></p>\n<p>x</p>\n"),
        ("[a](b 'x\"y')", '<p><a href="b" rel="nofollow" title="x&quot;y">a</a></p>\n'),
        ('<code class="btn language-x">y</code>', "<p><code>y</code></p>\n"),
        ('<code class="language-x">y</code>', '<p><code class="language-x">y</code></p>\n'),
        ("<input type=text value=x><input>.", "<p>.</p>\n"),
        ("<input type=checkbox checked>", '<input disabled="" type="checkbox"/>\n'),
        # A block ends a link.
        ("<a>\n\n@bob\n\n</a>", '<a>\n</a><p>@<a href="/member/bob">bob</a></p>\n\n'),
        ("<pre>\n<p>@bob</p>\n</pre>", "<pre><p>@bob</p>\n</pre>\n"),
    ],
)
def test_where_it_differs_on_purpose(text: str, html: str) -> None:
    assert rendered(text) == html


# From the specifications of CommonMark 0.30 and GFM 0.29, with our empty elements and `rel`.
@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Foo *bar*\n====", "<h1>Foo <em>bar</em></h1>\n"),
        ("\tfoo\tbaz\t\tbim", "<pre><code>foo\tbaz\t\tbim\n</code></pre>\n"),
        ("`` foo ` bar ``", "<p><code>foo ` bar</code></p>\n"),
        ("**foo*bar*baz**", "<p><strong>foo<em>bar</em>baz</strong></p>\n"),
        ("_foo_bar_baz_", "<p><em>foo_bar_baz</em></p>\n"),
        ("\\*not emphasized*", "<p>*not emphasized*</p>\n"),
        ("&copy; &AElig; &#35; &#0;", "<p>© Æ # \ufffd</p>\n"),
        ("3) a\n4) b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n"),
        ("1.  A paragraph\n\n        code",
         "<ol>\n<li>\n<p>A paragraph</p>\n<pre><code>code\n</code></pre>\n</li>\n</ol>\n"),
        ("[link](/my uri)", "<p>[link](/my uri)</p>\n"),
        ("[link](</my uri>)", '<p><a href="/my%20uri" rel="nofollow">link</a></p>\n'),
        ("[a](<b)c>)", '<p><a href="b)c" rel="nofollow">a</a></p>\n'),
        ("![foo *bar*]\n\n[foo *bar*]: t.jpg", f'<p><img alt="foo bar" {IMAGE} src="t.jpg"/></p>\n'),
        ("(www.commonmark.org/a.b).", '<p>(<a href="http://www.commonmark.org/a.b" rel="nofollow">'
         "www.commonmark.org/a.b</a>).</p>\n"),
        ("| a |\n| - |\n| b `\\|` az |",
         "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n"
         "<td>b <code>|</code> az</td>\n</tr>\n</tbody></table>"),
        ("This will ~~~not~~~ strike.", "<p>This will ~~~not~~~ strike.</p>\n"),
        ("a\r\nb\0", "<p>a\nb\ufffd</p>\n"),
    ],
)  # fmt: skip
def test_as_the_specifications_have_it(text: str, html: str) -> None:
    assert rendered(text) == html


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("none", []),
        ("![a](http://a/b.png)", ["http://a/b.png"]),
        ('😀 ![a"b](http://a/?x=1&y="z" "t") ![](/c) text', ["http://a/?x=1&amp;y=%22z%22", "/c"]),
        ("<img alt='x'> ![a](b)", ["b"]),
        (f'`<img {IMAGE} src="fake"/>` ![a](real)', ["real"]),
        ("![a](javascript:x)", ["#harmful-link"]),
    ],
)
def test_where_addresses_of_pictures_stand_is_told_in_characters(text: str, addresses: list[str]) -> None:
    read = markdown.render(RenderMarkdown(), text.encode())
    html = read.parts["html"].decode()

    assert [html[start:end] for start, end in read.facts["images"]] == addresses
