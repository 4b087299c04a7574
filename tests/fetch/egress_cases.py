"""The URLs of the table of egress cases by row: those refused before anything is dialled, and neighbours.

Rows of behaviours are in `test_egress_table`. An address that is spelled oddly may be refused for its
spelling or for what it is.
"""

from typing import Any

import pytest

ROWS = frozenset(range(1, 97))
COVERED: set[int] = set()
"""Rows that have a case."""


def case(row: int, label: str, *values: object) -> Any:
    """One case of a row, as a parameter of a test."""
    COVERED.add(row)
    return pytest.param(*values, id=f"{row:02}-{label}")


def in_row(row: int) -> pytest.MarkDecorator:
    """For a test that is a case by itself."""
    return pytest.mark.parametrize("row", [case(row, "", row)])


ADDRESS, NAME, HOST, URL = "blocked_address", "blocked_name", "bad_host", "bad_url"
SPELLING = "noncanonical"
A_NAME = "a" * 63

REFUSED: list[tuple[int, str, str, tuple[str, ...]]] = [
    (1, "http://127.0.0.1/", ADDRESS, ("loopback",)),
    (2, "http://127.255.255.254/", ADDRESS, ("loopback",)),
    (3, "http://localhost/", NAME, ("localhost",)),
    (3, "http://LOCALHOST/", NAME, ("localhost",)),
    (3, "http://a.localhost/", NAME, ("localhost",)),
    (4, "http://localhost./", NAME, ("localhost",)),
    (4, "http://127.0.0.1./", ADDRESS, ("loopback", SPELLING)),
    (5, "http://2130706433/", ADDRESS, ("loopback", SPELLING)),
    (6, "http://0x7f000001/", ADDRESS, ("loopback", SPELLING)),
    (6, "http://0x7f.1/", ADDRESS, ("loopback", SPELLING)),
    (7, "http://0177.0.0.1/", ADDRESS, ("loopback", SPELLING)),
    (7, "http://017700000001/", ADDRESS, ("loopback", SPELLING)),
    (8, "http://127.1/", ADDRESS, ("loopback", SPELLING)),
    (8, "http://127.0.1/", ADDRESS, ("loopback", SPELLING)),
    (9, "http://0/", ADDRESS, ("unspecified", "this_network", SPELLING)),
    (9, "http://0.0.0.0/", ADDRESS, ("unspecified", "this_network")),
    (9, "http://0.1.2.3/", ADDRESS, ("this_network",)),
    (10, "http://①②⑦.⓪.⓪.①/", ADDRESS, ("loopback", SPELLING)),
    (11, "http://127。0。0。1/", ADDRESS, ("loopback", SPELLING)),
    (12, "http://169.254.169.254\u00ad/", ADDRESS, ("metadata", SPELLING)),
    (12, "http://169.254.169.254\u200b/", ADDRESS, ("metadata", SPELLING)),
    (13, "http://localho\u017ft/", NAME, ("localhost",)),
    (14, "http://[::1]/", ADDRESS, ("loopback",)),
    (14, "http://[0:0:0:0:0:0:0:1]/", ADDRESS, ("loopback", SPELLING)),
    (15, "http://[::]/", ADDRESS, ("unspecified",)),
    (16, "http://[::ffff:127.0.0.1]/", ADDRESS, ("loopback", SPELLING)),
    (16, "http://[::ffff:7f00:1]/", ADDRESS, ("loopback",)),
    (17, "http://[::127.0.0.1]/", ADDRESS, ("not_global", SPELLING)),
    (17, "http://[::7f00:1]/", ADDRESS, ("not_global",)),
    (18, "http://[::ffff:0:127.0.0.1]/", ADDRESS, ("translated", SPELLING)),
    (18, "http://[::ffff:0:7f00:1]/", ADDRESS, ("translated",)),
    (19, "http://[64:ff9b::7f00:1]/", ADDRESS, ("loopback",)),
    (19, "http://[64:ff9b::a9fe:a9fe]/", ADDRESS, ("metadata",)),
    (21, "http://[64:ff9b:1::a00:1]/", ADDRESS, ("translated",)),
    (22, "http://[2002:7f00:1::]/", ADDRESS, ("6to4",)),
    (22, "http://[2002:a9fe:a9fe::1]/", ADDRESS, ("6to4", "metadata")),
    (23, "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", ADDRESS, ("teredo",)),
    (24, "http://[fe80::1]/", ADDRESS, ("link_local",)),
    (24, "http://[fe80::1%25eth0]/", HOST, ()),
    (24, "http://[fe80::1%eth0]/", HOST, ()),
    (25, "http://[fc00::1]/", ADDRESS, ("private",)),
    (25, "http://[fd00:ec2::254]/", ADDRESS, ("metadata",)),
    (25, "http://[fd20:ce::254]/", ADDRESS, ("metadata",)),
    (26, "http://[fec0::1]/", ADDRESS, ("private",)),
    (26, "http://[ff02::1]/", ADDRESS, ("multicast",)),
    (26, "http://[5f00::1]/", ADDRESS, ("reserved",)),
    (26, "http://[3fff::1]/", ADDRESS, ("documentation",)),
    (26, "http://[4000::1]/", ADDRESS, ("not_global",)),
    (26, "http://[100::1]/", ADDRESS, ("reserved",)),
    (27, "http://[fe80::5efe:10.0.0.1]/", ADDRESS, ("isatap", "link_local", SPELLING)),
    (27, "http://[fe80::5efe:a00:1]/", ADDRESS, ("isatap", "link_local")),
    (27, "http://[2600::5efe:a00:1]/", ADDRESS, ("isatap",)),
    *(
        (28, f"http://{address}/", ADDRESS, ("private",))
        for address in (
            "10.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "172.20.1.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.1.2",
            "192.168.0.0",
            "192.168.255.255",
        )
    ),
    *(
        (28, f"http://{address}/", ADDRESS, ("shared",))
        for address in ("100.80.1.2", "100.64.0.0", "100.127.255.255")
    ),
    (29, "http://169.254.169.254/latest/meta-data/", ADDRESS, ("metadata",)),
    (29, "http://169.254.170.2/", ADDRESS, ("metadata",)),
    (29, "http://169.254.1.1/", ADDRESS, ("link_local",)),
    (30, "http://100.100.100.200/", ADDRESS, ("metadata",)),
    (30, "http://168.63.129.16/", ADDRESS, ("metadata",)),
    (30, "http://192.0.0.192/", ADDRESS, ("metadata",)),
    (31, "http://metadata.google.internal/", NAME, ("metadata",)),
    (31, "http://metadata/", NAME, ("metadata",)),
    (31, "http://instance-data/", NAME, ("metadata",)),
    (32, "http://192.0.2.1/", ADDRESS, ("documentation",)),
    (32, "http://198.51.100.1/", ADDRESS, ("documentation",)),
    (32, "http://203.0.113.1/", ADDRESS, ("documentation",)),
    (32, "http://198.18.0.1/", ADDRESS, ("benchmarking",)),
    (32, "http://192.88.99.1/", ADDRESS, ("6to4",)),
    (33, "http://224.0.0.1/", ADDRESS, ("multicast",)),
    (33, "http://239.255.255.250/", ADDRESS, ("multicast",)),
    (33, "http://240.0.0.1/", ADDRESS, ("reserved",)),
    (33, "http://255.255.255.255/", ADDRESS, ("reserved",)),
    *(
        (34, url, "bad_scheme", ())
        for url in (
            "file:///etc/passwd",
            "gopher://example.test/1",
            "dict://example.test:11211/stats",
            "ftp://example.test/",
            "data:text/html,<title>x</title>",
            "javascript:alert(1)",
            "jar:http://example.test/x!/",
            "ws://example.test/",
            "unix:/x",
            "http+unix://%2Fx/",
        )
    ),
    (35, "//example.test/", URL, ()),
    (35, "example.test", URL, ()),
    (35, "http:example.test", URL, ()),
    (35, "http:///x", URL, ()),
    (36, "http://user:pw@example.test/", "userinfo", ()),
    (36, "http://user@example.test/", "userinfo", ()),
    (37, "http://example.test\\@127.0.0.1/", URL, ()),
    (37, "http://127.0.0.1\\@example.test/", URL, ()),
    (39, "http://a@b@127.0.0.1/", "userinfo", ()),
    (40, "http://127.0.0.1%2eexample.test/", HOST, ()),
    (40, "http://ex%61mple.test/", HOST, ()),
    (41, "http://example.test%00.evil.test/", URL, ()),
    (41, "http://example.test\x00.evil.test/", URL, ()),
    (41, "http://example\t.test/", URL, ()),
    (41, "http://example\n.test/", URL, ()),
    (42, "http://[::1]%00.example.test/", HOST, ()),
    (42, "http://[v1.x]/", HOST, ()),
    (43, "http://example.test:22/", "bad_port", ()),
    (43, "http://example.test:25/", "bad_port", ()),
    (43, "http://example.test:6379/", "bad_port", ()),
    (43, "http://example.test:0/", "bad_port", ()),
    (43, "http://example.test:65536/", "bad_port", ()),
    (43, "http://example.test:80:80/", "bad_port", ()),
    (44, "http://example.test/\r\nX: 1", URL, ()),
    (45, f"http://{A_NAME}.{A_NAME}.{A_NAME}.{'a' * 57}.test/", "too_long", ()),
    (45, f"http://{'a' * 64}.test/", "too_long", ()),
    (45, f"http://example.test/{'a' * 3000}", "too_long", ()),
    (45, f"http://example.test/?{'a' * 10_000}", "too_long", ()),
    (47, "http://intranet/", NAME, ("internal", "single_label")),
    (47, "http://wiki/", NAME, ("single_label",)),
    (47, "http://printer.local/", NAME, ("local",)),
    (47, "http://a.internal/", NAME, ("internal",)),
    (47, "http://a.home.arpa/", NAME, ("internal",)),
    (47, "http://a.onion/", NAME, ("no_dns",)),
]
"""Row, URL, code, and details that are right; none where any is."""

PUBLIC_LITERALS: list[tuple[int, str]] = [
    (20, "64:ff9b::808:808"),
    *((28, edge) for edge in ("9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.1")),
    *((28, edge) for edge in ("192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.1")),
    *((28, edge) for edge in ("192.0.1.1", "198.20.0.1")),
]
"""Row and address: just beside what is refused."""

INNER = (
    "0.0.0.0 0.1.2.3 10.0.0.1 10.0.0.5 100.100.100.200 100.64.0.0 127.0.0.1 127.255.255.254 168.63.129.16"
    " 169.254.1.1 169.254.169.254 169.254.170.2 172.16.0.0 192.0.0.192 192.0.2.1 192.168.0.0 192.168.1.2"
    " 192.88.99.1 198.18.0.1 224.0.0.1 240.0.0.1 :: ::1 ::7f00:1 ::ffff:10.0.0.1 ::ffff:127.0.0.1"
    " ::ffff:169.254.169.254 ::ffff:0:7f00:1 100::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2002:7f00:1::"
    " 2002:a9fe:a9fe::1 2600::5efe:a00:1 3fff::1 4000::1 5f00::1 64:ff9b:1::a00:1 64:ff9b::7f00:1"
    " 64:ff9b::a9fe:a9fe fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::5efe:a00:1 fec0::1"
).split()
"""Addresses behind which the canaries wait."""
