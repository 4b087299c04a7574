"""IPTC-IIM records and Photoshop resources: place names are seen and taken out."""

import pytest

from remote_worker.decoder.metadata import iptc


def dataset(number: int, value: bytes, record: int = 2) -> bytes:
    return bytes((0x1C, record, number)) + len(value).to_bytes(2, "big") + value


def resource(kind: int, value: bytes, name: bytes = b"") -> bytes:
    padded_name = bytes((len(name),)) + name + bytes((len(name) + 1) % 2)
    return (b"8BIM" + kind.to_bytes(2, "big") + padded_name + len(value).to_bytes(4, "big") + value) + bytes(
        len(value) % 2
    )


@pytest.mark.parametrize("number", [26, 27, 90, 92, 95, 100, 101])
def test_a_place_is_seen_and_taken_out(number: int) -> None:
    block = dataset(5, b"Title") + dataset(number, b"Somewhere") + dataset(25, b"keyword")

    assert iptc.has_location(block)
    assert iptc.scrubbed(block) == dataset(5, b"Title") + dataset(25, b"keyword")


@pytest.mark.parametrize("number", [5, 25, 80, 91, 93, 103, 116, 120])
def test_its_neighbours_stay(number: int) -> None:
    block = dataset(number, b"value")

    assert not iptc.has_location(block)
    assert iptc.scrubbed(block) == block


def test_an_empty_place_is_no_location() -> None:
    assert not iptc.has_location(dataset(90, b""))


def test_a_value_of_extended_length_is_read() -> None:
    block = b"\x1c\x02\x5a\x80\x04\0\0\0\x06London"

    assert iptc.has_location(block)
    assert iptc.scrubbed(block + dataset(5, b"Title")) == dataset(5, b"Title")


def test_what_is_not_a_dataset_ends_the_block() -> None:
    assert iptc.scrubbed(dataset(5, b"Title") + b"garbage" + dataset(90, b"London")) == dataset(5, b"Title")
    assert iptc.scrubbed(dataset(5, b"Title")[:-1]) == b""


@pytest.mark.parametrize("prefix", [b"", b"Photoshop 3.0\0"])
def test_the_iptc_of_a_photoshop_block_is_found(prefix: bytes) -> None:
    inner = dataset(90, b"London")
    block = prefix + resource(0x03ED, b"odd", b"name") + resource(0x0404, inner)

    assert iptc.from_photoshop(block) == inner
    assert iptc.has_location(block)


def test_a_photoshop_block_keeps_only_what_tells_no_place() -> None:
    kept = resource(0x03ED, bytes(16)) + resource(0x040B, b"odd")
    block = (
        kept
        + resource(0x0404, dataset(90, b"London") + dataset(5, b"Title"))
        + resource(0x040C, b"thumbnail")
        + resource(0x0422, b"exif")
        + resource(0x0424, b"xmp")
        + resource(0x0425, bytes(16))
    )

    assert iptc.scrubbed_photoshop(block) == kept + resource(0x0404, dataset(5, b"Title"))


def test_a_resource_that_claims_too_much_ends_the_block() -> None:
    assert iptc.scrubbed_photoshop(resource(0x03ED, b"1234")[:-1]) == b""
    assert iptc.scrubbed_photoshop(b"8BIM\x03\xed\0\0\xff\xff\xff\xff") == b""
