"""Accept headers."""

import pytest

from remote_worker.web.negotiation import wants_picture, wants_problem


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        ("image/*", True),
        ("image/png", True),
        ("IMAGE/WebP", True),
        ("*/*", False),
        ("", False),
        ("image/", False),
        ("imagex/png", False),
        ("application/json", False),
        ("image/*;q=0", False),
        ("image/*;q=0.0, */*", False),
        ("image/*;q=0.001", True),
        ("image/png;q=x", False),
        ("image/png;q=nan", False),
        ("image/avif,image/webp,*/*;q=0.8", True),
        ("text/html,application/xhtml+xml,image/avif;q=0.9,*/*;q=0.8", True),
        ("application/json, image/*;q=0.9", False),
        ("application/json;q=0.5, image/*;q=0.9", True),
    ],
)
def test_a_picture_is_wanted_when_an_image_type_is_named(accept: str, is_wanted: bool) -> None:
    assert wants_picture(accept) is is_wanted


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        ("application/problem+json", True),
        ("application/json, application/problem+json", True),
        ("application/problem+json;q=0.5, application/json", False),
        ("application/problem+json;q=0", False),
        ("application/*", False),
        ("*/*", False),
    ],
)
def test_a_problem_document_is_wanted_when_it_is_named(accept: str, is_wanted: bool) -> None:
    assert wants_problem(accept) is is_wanted
