"""How long an answer is fresh, by RFC 9111 and within our bounds."""

import pytest

from remote_worker.service.freshness import Lifetime, directives, lifetime

NOW = 1_790_000_000.0
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
"""NOW."""
HOUR_AGO = "Mon, 21 Sep 2026 13:13:20 GMT"
IN_AN_HOUR = "Mon, 21 Sep 2026 15:13:20 GMT"
DAY, WEEK = 86_400.0, 7 * 86_400.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 3600),
        ({"cache-control": "max-age=1200"}, 1200),
        ({"cache-control": "MAX-AGE=1200, public"}, 1200),
        ({"cache-control": 'max-age="1200"'}, 1200),
        ({"cache-control": "max-age=1200, max-age=9000"}, 1200),
        ({"cache-control": "max-age=1200", "age": "600"}, 600),
        ({"cache-control": "max-age=4000", "date": HOUR_AGO}, 400),
        ({"cache-control": "max-age=4000", "date": HOUR_AGO, "age": "60"}, 400),
        ({"cache-control": "max-age=1200", "expires": IN_AN_HOUR}, 1200),
        ({"expires": IN_AN_HOUR, "date": DATE}, 3600),
        ({"expires": IN_AN_HOUR, "date": HOUR_AGO}, 3600),
        ({"expires": IN_AN_HOUR}, 3600),
        # The bounds, and the nearest beside them.
        ({"cache-control": "max-age=299"}, 300),
        ({"cache-control": "max-age=301"}, 301),
        ({"cache-control": "max-age=86401"}, 86_400),
        ({"cache-control": "max-age=86399"}, 86_399),
        ({"cache-control": "max-age=99999999999999999999"}, 86_400),
        ({"cache-control": "max-age=0"}, 300),
        ({"cache-control": "max-age=-5"}, 300),
        ({"cache-control": "max-age=soon"}, 300),
        ({"expires": "0"}, 300),
        ({"expires": "never"}, 300),
        ({"cache-control": "max-age=1200", "age": "5000"}, 300),
        ({"cache-control": "max-age=1200", "age": "x"}, 1200),
    ],
)
def test_freshness(headers: dict[str, str], seconds: float) -> None:
    assert lifetime(headers, now=NOW, default=3600) == Lifetime(seconds, DAY, WEEK)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no-store", Lifetime(300, 0, 0, is_kept=False)),
        ("private, max-age=9000", Lifetime(300, 0, 0, is_kept=False)),
        ('private="set-cookie"', Lifetime(300, 0, 0, is_kept=False)),
        ("no-cache", Lifetime(300, 0, 0)),
        ("max-age=9000, must-revalidate", Lifetime(9000, 0, 0)),
        ("max-age=9000, proxy-revalidate", Lifetime(9000, 0, 0)),
        # RFC 9111, 5.2.2.10: it means proxy-revalidate too.
        ("s-maxage=9000, max-age=400", Lifetime(9000, 0, 0)),
        ("max-age=9000, no-transform", Lifetime(9000, DAY, WEEK)),
        ("nostore, max-age=9000", Lifetime(9000, DAY, WEEK)),
    ],
)
def test_directives_that_end_it_early(value: str, expected: Lifetime) -> None:
    assert lifetime({"cache-control": value}, now=NOW, default=3600) == expected


def test_a_header_is_read_as_lists_are() -> None:
    assert directives(' No-Cache="a, b" ,, max-age = 5,x') == {"no-cache": "a, b", "max-age": "5", "x": ""}


def test_what_an_oembed_answer_says_shortens_it_within_the_bounds() -> None:
    page = Lifetime(3600)

    assert page.at_most(1000) == Lifetime(1000)
    assert page.at_most(10) == Lifetime(300)
    assert page.at_most(9000) == page
