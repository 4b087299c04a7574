"""Which formats a list of words leaves on."""

import pytest

from remote_worker.contract.formats import FormatName, switched_on
from remote_worker.decoder.formats import FORMATS


def test_the_host_knows_the_formats_of_the_decoder_by_name() -> None:
    assert [str(name) for name in FormatName] == [row.name for row in FORMATS]


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ([], "jpeg jp2 png gif bmp tiff webp heic avif psd icns ico jxl svg"),
        (["webp", "jpeg", "webp"], "jpeg webp"),
        (["-jp2", "-psd"], "jpeg png gif bmp tiff webp heic avif icns ico jxl svg"),
    ],
)
def test_names_alone_mean_only_these_and_with_a_minus_all_but_these(words: list[str], on: str) -> None:
    assert switched_on(words) == tuple(on.split())


@pytest.mark.parametrize(
    "words", [["jpeg", "-png"], ["jpg"], ["-pgn"], ["JPEG"], ["--png"], [f"-{name}" for name in FormatName]]
)
def test_both_ways_at_once_unknown_names_and_no_format_at_all_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        switched_on(words)
