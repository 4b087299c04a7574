"""Metadata blocks: read whatever they hold, and rid of places so that the readers find none."""

import json
from collections.abc import Callable

from remote_worker.contract import wire
from remote_worker.contract.messages import Info
from remote_worker.decoder import icc
from remote_worker.decoder.metadata import exif, fields, iptc, mp4, xmp, xmp_place
from remote_worker.pool import verify


def of_exif(data: bytes, scrubbed: Callable[[bytes], bytes] = exif.scrubbed) -> None:
    """A scrubbed block tells no place, stands upright and is no longer than it was."""
    of_fields(data)
    facts = exif.read(data)
    assert facts.orientation is None or 1 <= facts.orientation <= 8
    made = scrubbed(data)
    exif.scrubbed(data, sides_swapped=True)
    after = exif.read(made)
    assert not after.has_gps and after.orientation in (None, 1), after
    assert len(made) <= len(data)


def of_fields(data: bytes) -> None:
    """What a block says in words is what the host lets pass."""
    _pass(
        exif=fields.fields(data),
        gps=fields.place(data),
        icc=fields.printable(icc.description(data) or ""),
    )


def _pass(**members: object) -> None:
    nothing: dict[str, object] = {
        "exif": {},
        "gps": None,
        "xmp": False,
        "iptc": False,
        "comment": False,
        "icc": None,
    }
    told = nothing | members
    upload = {"format": "jpeg", "mime": "image/jpeg"}
    facts = json.dumps({"upload": upload, "info": {"metadata": told}}).encode()
    table, _, _ = wire.layout({wire.FACTS: len(facts)})
    assert verify.reply(Info(metadata=True), table + facts).info["metadata"] == told


def of_xmp(data: bytes, scrubbed: Callable[[bytes], bytes] = xmp.scrubbed) -> None:
    """A scrubbed packet tells no place and stands upright."""
    turn = xmp.orientation(data)
    assert turn is None or 1 <= turn <= 8
    xmp.has_gps(data)
    _pass(gps=xmp_place.place(data))
    made = scrubbed(data)
    assert not xmp.has_gps(made)
    assert xmp.orientation(made) in (None, 1)


def of_iptc(data: bytes, scrubbed: Callable[[bytes], bytes] = iptc.scrubbed_photoshop) -> None:
    """Scrubbed records and resources name no place, and what they are cut into lies inside."""
    assert not iptc.has_location(iptc.scrubbed(data))
    made = scrubbed(data)
    assert not iptc.has_location(iptc.PHOTOSHOP + made)
    iptc.has_location(data)
    for _, at, start, end in iptc.resources(data):
        assert 0 <= at <= start <= end <= len(data)


def of_mp4(data: bytes) -> None:
    """A film behind a picture is read to its end, whatever its boxes say."""
    assert mp4.has_location(data, 0, len(data) + 100) in (True, False)


def of_profile(data: bytes) -> None:
    """A colour profile is sRGB's or is not."""
    assert icc.is_srgb(data) in (True, False)
