"""URLs: which pass, what they become, and why others are refused. Numbers are rows of the egress table."""

from ipaddress import ip_address

import pytest

from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.links import Place
from remote_worker.fetch.url import MOST_REMEMBERED, Target, parse, place

BASE = parse("https://example.test/a/b?c=d")


def row(number: int, *values: object) -> object:
    """A case of the egress table, named by its row."""
    return pytest.param(*values, id=f"row {number}: {values[0]!a}"[:70])


def refused(text: str, base: Target | None = None) -> tuple[str, str]:
    """The code and the detail."""
    with pytest.raises(WorkFailed) as caught:
        parse(text, base)
    return caught.value.code.value, caught.value.detail


NONCANONICAL = ("blocked_address", "noncanonical")


@pytest.mark.parametrize(
    "url",
    [
        row(4, "http://127.0.0.1./"),
        row(5, "http://2130706433/"),
        row(6, "http://0x7f000001/"),
        row(6, "http://0x7f.1/"),
        row(7, "http://0177.0.0.1/"),
        row(7, "http://017700000001/"),
        row(8, "http://127.1/"),
        row(8, "http://127.0.1/"),
        row(9, "http://0/"),
        row(10, "http://①②⑦.⓪.⓪.①/"),
        row(11, "http://127。0。0。1/"),
        row(12, "http://169.254.169.254\u00ad/"),
        row(12, "http://169.254.169.254\u200b/"),
        row(14, "http://[0:0:0:0:0:0:0:1]/"),
        row(16, "http://[::ffff:127.0.0.1]/"),
        row(17, "http://[::127.0.0.1]/"),
        row(18, "http://[::ffff:0:127.0.0.1]/"),
        row(27, "http://[fe80::5efe:10.0.0.1]/"),
        "http://134744072/",  # 8.8.8.8, which is public
        "http://8.8.8.010/",
        "http://8.8.2056/",
        "http://８.8.8.8/",
        "http://[2606:2800:0220:1::1]/",
        "http://[2606:2800:220:1:0:0:0:1]/",
        "http://0x/",
    ],
)
def test_an_address_that_is_not_spelled_as_usual_is_refused(url: str) -> None:
    assert refused(url) == NONCANONICAL
    assert refused(url, BASE) == NONCANONICAL


@pytest.mark.parametrize(
    ("url", "address"),
    [
        row(1, "http://127.0.0.1/", "127.0.0.1"),
        row(9, "http://0.0.0.0/", "0.0.0.0"),
        row(14, "http://[::1]/", "::1"),
        row(15, "http://[::]/", "::"),
        row(16, "http://[::ffff:7f00:1]/", "::ffff:7f00:1"),
        row(20, "http://[64:ff9b::808:808]/", "64:ff9b::808:808"),
        row(28, "http://172.32.0.1/", "172.32.0.1"),
        ("http://8.8.8.8/", "8.8.8.8"),
        ("http://[2606:2800:220:1::1]/", "2606:2800:220:1::1"),
        ("http://[2606:2800:220:1::AB]/", "2606:2800:220:1::ab"),
    ],
)
def test_an_address_that_is_spelled_as_usual_is_a_literal(url: str, address: str) -> None:
    target = parse(url)

    assert (target.address, target.host, target.site) == (ip_address(address), address, address)
    assert target.authority == (f"[{address}]" if ":" in address else address)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        row(24, "http://[fe80::1%25eth0]/", "bad_host"),
        row(24, "http://[fe80::1%eth0]/", "bad_host"),
        row(34, "file:///etc/passwd", "bad_scheme"),
        row(34, "gopher://example.test/", "bad_scheme"),
        row(34, "dict://example.test/", "bad_scheme"),
        row(34, "ftp://example.test/", "bad_scheme"),
        row(34, "data:text/html,x", "bad_scheme"),
        row(34, "javascript:alert(1)", "bad_scheme"),
        row(34, "jar:http://example.test!/", "bad_scheme"),
        row(34, "ws://example.test/", "bad_scheme"),
        row(34, "wss://example.test/", "bad_scheme"),
        row(34, "unix:/x", "bad_scheme"),
        row(34, "http+unix://%2Fvar%2Fx/", "bad_scheme"),
        row(35, "//example.test/", "bad_url"),
        row(35, "example.test", "bad_url"),
        row(35, "/path", "bad_url"),
        row(35, "", "bad_url"),
        row(35, "http:example.test", "bad_url"),
        row(35, "http:/example.test", "bad_url"),
        row(35, "http:///x", "bad_url"),
        row(35, "http://", "bad_url"),
        row(35, "http://?q", "bad_url"),
        row(35, "1http://example.test/", "bad_url"),
        row(36, "http://user:pw@example.test/", "userinfo"),
        row(36, "http://user@example.test/", "userinfo"),
        row(36, "http://@example.test/", "userinfo"),
        row(36, "http://:@example.test/", "userinfo"),
        row(37, "http://example.test\\@127.0.0.1/", "bad_url"),
        row(37, "http://127.0.0.1\\@example.test/", "bad_url"),
        row(37, "http:\\\\example.test/", "bad_url"),
        row(37, "http://example.test/\\x", "bad_url"),
        row(39, "http://a@b@127.0.0.1/", "userinfo"),
        row(40, "http://127.0.0.1%2eexample.test/", "bad_host"),
        row(40, "http://ex%61mple.test/", "bad_host"),
        row(41, "http://example.test%00.evil.test/", "bad_url"),
        row(41, "http://example.test%0d.evil.test/", "bad_url"),
        row(41, "http://example.test\0.evil.test/", "bad_url"),
        row(41, "http://exam\tple.test/", "bad_url"),
        row(41, "http://exam\nple.test/", "bad_url"),
        row(41, "http://exam\x7fple.test/", "bad_url"),
        row(41, "http://exam ple.test/", "bad_url"),
        row(42, "http://[::1]%00.example.test/", "bad_host"),
        row(42, "http://[v1.x]/", "bad_host"),
        row(42, "http://[::1/", "bad_host"),
        row(42, "http://::1/", "bad_port"),
        row(42, "http://[]/", "bad_host"),
        row(42, "http://[[::1]]/", "bad_host"),
        row(43, "http://example.test:22/", "bad_port"),
        row(43, "http://example.test:25/", "bad_port"),
        row(43, "http://example.test:0/", "bad_port"),
        row(43, "http://example.test:65536/", "bad_port"),
        row(43, "http://example.test:99999999999/", "bad_port"),
        row(43, "http://example.test:80:80/", "bad_port"),
        row(43, "http://example.test:-80/", "bad_port"),
        row(43, "http://example.test:８０/", "bad_port"),
        row(44, "http://example.test/a\r\nX: 1", "bad_url"),
        row(44, "http://example.test/a b", "bad_url"),
        ("http://1.2.3.4.5/", "bad_host"),
        ("http://256.0.0.1/", "bad_host"),
        ("http://example.1/", "bad_host"),
        ("http://a..test/", "bad_host"),
        ("http://.test/", "bad_host"),
        ("http://example.test../", "bad_host"),
        ("http://./", "bad_host"),
        ("http://:80/", "bad_host"),
        ("http://exa!mple.test/", "bad_host"),
        ("http://exa*mple.test/", "bad_host"),
        ("http://exa,mple.test/", "bad_host"),
        ("http://exa{mple.test/", "bad_host"),
        ("http://exa<mple.test/", "bad_host"),
        ("http://exa\u3000mple.test/", "bad_host"),
        ("http://⒈.test/", "bad_host"),
        ("http://example.test＠127.0.0.1/", "bad_host"),
        ("http://127.0.0.1％2eexample.test/", "bad_host"),
        ("http://127.0.0.1／example.test/", "bad_host"),
        ("http://127.0.0.1＃example.test/", "bad_host"),
        ("http://127.0.0.1？example.test/", "bad_host"),
        ("http://127.0.0.1＼example.test/", "bad_host"),
        ("http://127.0.0.1：80/", "bad_host"),
        ("http://℀.test/", "bad_host"),  # becomes a/c
        ("http://[::1]:80@example.test/", "userinfo"),
        ("http://[::1]example.test/", "bad_host"),
        ("http://[::1].example.test/", "bad_host"),
        ("http://example.test/\ud800", "bad_url"),
        ("http://\ud800.test/", "bad_url"),
        ("\thttp://example.test/", "bad_url"),
        ("http://example.test/\n", "bad_url"),
        ("\u00a0http://example.test/", "bad_url"),
    ],
)
def test_a_url_is_refused_with_the_code_of_what_is_wrong(url: str, code: str) -> None:
    assert refused(url)[0] == code


@pytest.mark.parametrize(
    ("url", "href"),
    [
        row(38, "http://example.test#@127.0.0.1/", "http://example.test/"),
        row(38, "http://example.test?@127.0.0.1/", "http://example.test/?@127.0.0.1/"),
        row(38, "http://example.test/@127.0.0.1/", "http://example.test/@127.0.0.1/"),
        row(44, "http://example.test/%0d%0aX:1", "http://example.test/%0d%0aX:1"),
        row(46, "http://faß.test/", "http://xn--fa-hia.test/"),
        row(46, "http://BÜCHER.test/", "http://xn--bcher-kva.test/"),
        row(46, "http://xn--fa-hia.test/", "http://xn--fa-hia.test/"),
        ("HTTP://EXAMPLE.Test", "http://example.test/"),
        ("  https://example.test/a ", "https://example.test/a"),
        ("https://example.test/a#b?c", "https://example.test/a"),
        ("https://example.test/é?ü=ß", "https://example.test/%C3%A9?%C3%BC=%C3%9F"),
        ("https://example.test/a/../b/./c", "https://example.test/b/c"),
        ("https://example.test:443/", "https://example.test/"),
        ("https://example.test:/", "https://example.test/"),
        ("https://example.test:80/", "https://example.test:80/"),
        ("https://example.test:08443/", "https://example.test:8443/"),
        ("https://example.test./a", "https://example.test/a"),
        ("https://a_b.-c-.test/", "https://a_b.-c-.test/"),
        ("https://example.test/?a=\\", "https://example.test/?a=\\"),
        ("https://[2606:2800:220:1::1]:8443/", "https://[2606:2800:220:1::1]:8443/"),
        ("http://1e3.test/", "http://1e3.test/"),
    ],
)
def test_a_url_that_passes_is_written_as_browsers_do(url: str, href: str) -> None:
    target = parse(url)

    assert target.href == href
    assert parse(target.href) == target


@pytest.mark.parametrize(
    ("url", "name"),
    [
        row(3, "http://localhost/", "localhost"),
        row(3, "http://LOCALHOST/", "localhost"),
        row(4, "http://localhost./", "localhost"),
        row(13, "http://localho\u017ft/", "localhost"),
        row(47, "http://intranet/", "intranet"),
    ],
)
def test_a_special_name_is_one_name_however_it_is_spelled(url: str, name: str) -> None:
    assert parse(url).host == name


def test_a_target_has_all_that_a_request_needs() -> None:
    assert parse("https://Www.Example.co.uk:8443/a b?c".replace(" ", "%20")) == Target(
        href="https://www.example.co.uk:8443/a%20b?c",
        scheme="https",
        host="www.example.co.uk",
        port=8443,
        address=None,
        authority="www.example.co.uk:8443",
        path="/a%20b?c",
        site="example.co.uk",
    )


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("a.example.co.uk", "example.co.uk"),
        ("a.b.github.io", "b.github.io"),  # of the list's private section
        ("github.io", "github.io"),
        ("co.uk", "co.uk"),
        ("a.example.test", "example.test"),
        ("localhost", "localhost"),
        ("a.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("city.kobe.jp", "city.kobe.jp"),
        ("a.b.c.kobe.jp", "b.c.kobe.jp"),
    ],
)
def test_a_site_is_what_somebody_registered(host: str, site: str) -> None:
    assert parse(f"https://{host}/").site == site


def test_a_place_is_what_a_url_says_of_itself() -> None:
    assert place(parse("https://A.example.test/b#c")) == Place(
        url="https://a.example.test/b", host="a.example.test", site="example.test"
    )


LABEL = "a" * 63
LONGEST = f"{LABEL}.{LABEL}.{LABEL}." + "a" * 61


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        row(45, f"http://{LONGEST}/", f"http://{LONGEST}a/"),
        row(45, f"http://{LONGEST}./", f"http://{LONGEST}a./"),
        row(45, f"http://{LABEL}.test/", f"http://{LABEL}a.test/"),
        # 2048 bytes in all
        row(45, "http://a.test/" + "a" * 2034, "http://a.test/" + "a" * 2035),
        row(45, "http://a.test/?" + "a" * 2033, "http://a.test/?" + "a" * 10_000),
        row(45, "http://a.test/#" + "é" * 1016, "http://a.test/#" + "é" * 1017),
        # each of these takes six bytes when it is escaped
        row(45, "http://a.test/" + "é" * 339, "http://a.test/" + "é" * 340),
    ],
)
def test_a_host_a_label_and_a_url_have_a_longest_length(inside: str, outside: str) -> None:
    parse(inside)
    assert refused(outside)[0] == "too_long"


@pytest.mark.parametrize("port", [21, 6000, 6665, 6669, 10080, 5060, 2049])
def test_ports_that_browsers_do_not_dial_are_refused(port: int) -> None:
    assert refused(f"http://example.test:{port}/") == ("bad_port", str(port))


@pytest.mark.parametrize("port", [24, 2048, 5062, 6001, 6664, 6670, 8080, 10_081, 65_535])
def test_their_neighbours_have_a_shape_that_passes(port: int) -> None:
    assert parse(f"http://example.test:{port}/").port == port


@pytest.mark.parametrize(
    ("link", "href"),
    [
        row(60, "c", "https://example.test/a/c"),
        row(60, "/c", "https://example.test/c"),
        row(60, "//other.test/c", "https://other.test/c"),
        row(60, "http://other.test/c", "http://other.test/c"),
        row(60, "/c d?e f", "https://example.test/c%20d?e%20f"),
        row(60, "/ü?ß", "https://example.test/%C3%BC?%C3%9F"),
        row(60, "https://bücher.test/ü", "https://xn--bcher-kva.test/%C3%BC"),
        ("?x", "https://example.test/a/b?x"),
        ("#x", "https://example.test/a/b?c=d"),
        ("../../..", "https://example.test/"),
        ("\n /c\t", "https://example.test/c"),
        ("x/y:z", "https://example.test/a/x/y:z"),
    ],
)
def test_a_link_may_be_relative_and_have_blanks(link: str, href: str) -> None:
    target = parse(link, BASE)

    assert target.href == href
    assert parse(target.href) == target


@pytest.mark.parametrize(
    ("link", "code"),
    [
        row(59, "file:///etc/passwd", "bad_scheme"),
        row(59, "gopher://127.0.0.1/", "bad_scheme"),
        row(59, "\\\\127.0.0.1\\x", "bad_url"),
        row(59, "/\\127.0.0.1/x", "bad_url"),
        row(68, "data:image/png;base64,AAAA", "bad_scheme"),
        ("javascript:alert(1)", "bad_scheme"),
        ("http:c", "bad_url"),
        ("https:c", "bad_url"),
        ("///other.test/", "bad_url"),
        ("https:///other.test/", "bad_url"),
        ("//", "bad_url"),
        ("//a@other.test/", "userinfo"),
        ("//other.test:22/", "bad_port"),
        ("//o%74her.test/", "bad_host"),
        ("//oth er.test/", "bad_host"),
        ("/a\tb", "bad_url"),
        ("/a\0b", "bad_url"),
        ("/" + "a" * 2040, "too_long"),
    ],
)
def test_a_link_that_leads_to_no_url_of_ours_is_refused(link: str, code: str) -> None:
    assert refused(link, BASE)[0] == code


@pytest.mark.parametrize("host", ["[2606:2800:220:1::1]", "8.8.8.8"])
def test_a_link_from_an_address_leads_to_an_address(host: str) -> None:
    target = parse("/x?y", parse(f"http://{host}:8080/"))

    assert target == parse(f"http://{host}:8080/x?y")
    assert target.address == ip_address(host.strip("[]"))


def test_a_refusal_repeats_little_of_a_strangers_text() -> None:
    assert refused("x" * 16 + ":1") == ("bad_scheme", "x" * 16)
    assert refused("x" * 17 + ":1") == ("bad_scheme", "x" * 16)


def test_only_so_many_urls_are_remembered() -> None:
    first = parse("https://remembered.example/")
    for number in range(MOST_REMEMBERED - 1):
        parse(f"https://between.example/{number}")
    again = parse("https://remembered.example/")
    for number in range(MOST_REMEMBERED):
        parse(f"https://behind.example/{number}")

    assert again is first
    assert parse("https://remembered.example/") == first
    assert parse("https://remembered.example/") is not first


def test_one_link_leads_elsewhere_from_another_page() -> None:
    pages = ("https://a.example/x/", "https://b.example/", "https://a.example/y/", "https://a.example/x/")

    hrefs = [parse("c", parse(page)).href for page in pages]

    assert hrefs == [
        "https://a.example/x/c",
        "https://b.example/c",
        "https://a.example/y/c",
        "https://a.example/x/c",
    ]
