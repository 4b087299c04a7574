"""JPEG segments: what is cut away, what stays byte for byte, and what exiftool still finds."""

import csv
import io
import random
import re
import struct
import time
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder import jpeg_bytes

PLACE_GROUP = re.compile(rb"^\[[^\]]*:Location[^\]]*\]", re.MULTILINE)
PLACE_NAME = re.compile(
    rb"^\[[^\]]*\] (?:GPS\w*|\w*(?:Latitude|Longitude|Location|Country|Province)\w*|City|State) ",
    re.MULTILINE,
)
METADATA_GROUP = re.compile(
    rb"^\[(?:IFD|ExifIFD|GPS|XMP|IPTC|Photoshop|MPF|Interop|MakerNote|File\] Comment)"
)


def encoded(**options: object) -> bytes:
    """A small photo-like JPEG."""
    image = Image.effect_noise((64, 40), 60).convert("RGB")
    output = io.BytesIO()
    image.save(output, "JPEG", **options)
    return output.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(data: bytes, *added: bytes) -> bytes:
    """These segments right behind the start marker."""
    return data[:2] + b"".join(added) + data[2:]


def coded(data: bytes) -> bytes:
    """From the first scan to the end marker, as told by position alone."""
    return data[data.index(b"\xff\xda") : data.rindex(b"\xff\xd9") + 2]


def strip(data: bytes) -> bytes:
    return b"".join(jpeg_bytes.strip(data))


def keep(data: bytes) -> bytes:
    return b"".join(jpeg_bytes.keep(data))


def markers(data: bytes) -> list[int]:
    return [found.marker for found in jpeg_bytes.segments(data)]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "MANIFEST.csv").open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["format"] == "jpeg"]


def good_rows(folder: Path) -> list[dict[str, str]]:
    return [row for row in rows(folder) if row["expected"] == "ok"]


def failure(data: bytes) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        strip(data)
    return failed.value.code


def test_the_coded_picture_is_not_copied() -> None:
    data = with_segments(encoded(), segment(0xFE, b"a comment"))
    scans = coded(data)

    shown = [piece for piece in jpeg_bytes.strip(data) if isinstance(piece, memoryview)]

    assert bytes(shown[-1]).endswith(scans[:-2])
    assert all(piece.obj is data for piece in shown)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_plain_picture_comes_out_as_it_went_in(progressive: bool) -> None:
    data = encoded(progressive=progressive, dpi=(72, 72))

    assert strip(data) == data
    assert keep(data) == data


def test_stripping_leaves_only_what_decoding_needs() -> None:
    plain = encoded(
        dpi=(72, 72), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    full = with_segments(
        plain,
        segment(0xE1, b"Exif\0\0anything"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0anything"),
        segment(0xE2, b"MPF\0anything"),
        segment(0xE5, b"anything"),
        segment(0xED, b"Photoshop 3.0\0anything"),
        segment(0xFE, b"anything"),
    )

    assert strip(full + b"a trailer") == plain


def test_a_jfif_thumbnail_goes_and_the_density_stays() -> None:
    plain = encoded(dpi=(144, 72))
    jfif = plain[plain.index(b"JFIF") : plain.index(b"JFIF") + 14]
    with_thumbnail = plain.replace(
        segment(0xE0, jfif), segment(0xE0, jfif[:12] + b"\1\1RGB") + segment(0xE0, b"JFXX\0\x13\1\1RGB")
    )
    assert with_thumbnail != plain

    assert strip(with_thumbnail) == plain


@pytest.mark.parametrize(
    "filling", [b"", b"\xff", b"\xff\xff\xff", b"junk", b"\xff\x00", b"\xff\xd3", b"\xff\x01"]
)
def test_bytes_between_segments_are_skipped(filling: bytes) -> None:
    plain = encoded()
    data = with_segments(plain, segment(0xFE, b"a comment"), filling)

    assert strip(data) == plain


def test_metadata_between_scans_goes_and_all_scans_stay() -> None:
    plain = encoded(progressive=True)
    second = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    tables = plain.rindex(b"\xff\xc4", 0, second)
    data = plain[:tables] + segment(0xE1, b"Exif\0\0GPS") + plain[tables:]

    assert strip(data) == plain
    assert keep(data) == plain


def test_restart_markers_belong_to_their_scan(samples: Path) -> None:
    data = (samples / "jpeg" / "restarts-444.jpg").read_bytes()
    assert b"\xff\xd0" in data

    assert coded(strip(data)) == coded(data)


def test_an_icc_profile_behind_the_frame_header_stays() -> None:
    plain = encoded()
    at = plain.index(b"\xff\xda")
    icc = segment(0xE2, b"ICC_PROFILE\0\1\1" + b"profile" * 20)

    assert icc in strip(plain[:at] + icc + plain[at:])


def test_a_profile_with_a_missing_chunk_goes() -> None:
    whole = [segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 2)) + b"profile") for number in (1, 2)]

    assert b"profileprofile" in strip(with_segments(encoded(), *whole))
    assert b"profile" not in strip(with_segments(encoded(), whole[0]))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda data: data[:0], FailureCode.NOT_A_JPEG),
        (lambda data: data[1:], FailureCode.NOT_A_JPEG),
        (lambda data: data[:2], FailureCode.DAMAGED),
        (lambda data: data[:2] + data[-2:], FailureCode.DAMAGED),
        (lambda data: data[:-2], FailureCode.DAMAGED),
        (lambda data: data[: len(data) // 2], FailureCode.DAMAGED),
        (lambda data: data[:-2] + data, FailureCode.DAMAGED),
        (lambda data: with_segments(data, b"\xff\xe1\0\1"), FailureCode.DAMAGED),
        (lambda data: with_segments(data, b"\xff\xfe\xff\xff"), FailureCode.DAMAGED),
        (lambda data: with_segments(data, b"\xff\x02"), FailureCode.DAMAGED),
        (lambda data: with_segments(data, segment(0xE1, b"") * 70_000), FailureCode.DAMAGED),
    ],
)
def test_what_is_no_whole_jpeg_is_refused(spoil, code: FailureCode) -> None:
    assert failure(spoil(encoded())) is code


def test_a_frame_of_no_pixels_is_damaged() -> None:
    data = encoded()
    at = data.index(b"\xff\xc0")

    assert failure(data[: at + 5] + b"\0\0" + data[at + 7 :]) is FailureCode.DAMAGED


def exif_with(orientation: int, order: str = ">") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    return exif.tobytes()


XMP_6 = b'http://ns.adobe.com/xap/1.0/\0<x xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"/>'


@pytest.mark.parametrize(
    ("added", "orientation"),
    [
        ([], 1),
        ([exif_with(3)], 3),
        ([exif_with(3), exif_with(6)], 3),
        ([exif_with(0)], 1),
        ([exif_with(9)], 1),
        ([XMP_6], 6),
        ([exif_with(3), XMP_6], 3),
        ([XMP_6, exif_with(3)], 3),
        ([b"Exif\0\0broken", XMP_6], 6),
    ],
)
def test_exif_states_the_orientation_and_else_xmp(added: list[bytes], orientation: int) -> None:
    data = with_segments(encoded(), *(segment(0xE1, payload) for payload in added))

    assert jpeg_bytes.read(data).orientation == orientation


def test_an_exif_block_over_several_segments_is_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "d" * 100_000
    block = exif.tobytes()[6:]
    data = with_segments(
        encoded(), segment(0xE1, b"Exif\0\0" + block[:65_000]), segment(0xE1, b"Exif\0\0" + block[65_000:])
    )
    assert jpeg_bytes.read(data).orientation == 6

    kept = Image.open(io.BytesIO(keep(data))).getexif()

    assert (kept[0x0112], len(kept[0x010E])) == (1, 100_000)


@pytest.mark.parametrize(("text", "stays"), [(b"a comment", True), (b"taken at GPS 51.5, -0.1", False)])
def test_a_comment_is_kept_unless_it_speaks_of_a_place(text: bytes, stays: bool) -> None:
    data = with_segments(encoded(), segment(0xFE, text))

    assert (text in keep(data)) is stays
    assert text not in strip(data)


def test_an_extended_xmp_packet_goes() -> None:
    data = with_segments(
        encoded(),
        segment(
            0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + bytes(8) + b"<x GPSLatitude='1'/>"
        ),
    )

    assert b"GPSLatitude" not in keep(data)


@pytest.mark.needs_exiftool
def test_no_property_that_exiftool_files_under_location_is_kept(exiftool, tmp_path: Path) -> None:
    listed = exiftool("-listw", "-Location:all").stdout.decode().split("\n", 1)[1].split()
    for group in ("EXIF", "XMP", "IPTC"):
        (tmp_path / group).write_text("".join(f"-{group}:{tag}=12\n" for tag in listed))
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(encoded(comment=b"kept"))
    for group in ("EXIF", "XMP", "IPTC"):
        exiftool("-q", "-q", "-m", "-n", "-overwrite_original", "-@", tmp_path / group, picture)
    exiftool("-q", "-overwrite_original", "-IPTC:Headline=kept", "-XMP-dc:Title=kept", "-Make=kept", picture)
    before = exiftool("-a", "-G0:1:2", "-s", "-n", picture).stdout
    assert len(PLACE_GROUP.findall(before)) > 150
    assert before.count(b": kept") == 4

    picture.write_bytes(keep(picture.read_bytes()))

    after = exiftool("-a", "-G0:1:2", "-s", "-n", picture).stdout
    assert PLACE_GROUP.findall(after) == []
    assert after.count(b": kept") == 4


@pytest.mark.needs_exiftool
def test_exiftool_finds_no_place_in_what_comes_of_the_samples(
    exiftool, samples: Path, tmp_path: Path
) -> None:
    written = write_all(samples, samples, tmp_path)

    assert places(exiftool, tmp_path) == []
    assert written > 20


@pytest.mark.needs_exiftool
def test_exiftool_finds_no_place_in_what_comes_of_the_large_corpus(
    exiftool, shared: Path, tmp_path: Path
) -> None:
    for folder in ("public", "hostile"):
        write_all(shared / "corpus" / folder, shared / "corpus", tmp_path)

    assert places(exiftool, tmp_path) == []


@pytest.mark.needs_exiftool
def test_exiftool_finds_no_metadata_in_what_was_stripped(exiftool, samples: Path, tmp_path: Path) -> None:
    for row in good_rows(samples):
        data = (samples / row["path"]).read_bytes()
        (tmp_path / Path(row["path"]).name).write_bytes(strip(data))

    told = exiftool("-ee", "-a", "-G1", "-s", "-r", tmp_path).stdout.splitlines()

    assert [line for line in told if METADATA_GROUP.match(line)] == []
    assert not any(b"Trailer" in line or line.startswith(b"[File] Comment") for line in told)


def write_all(folder: Path, root: Path, target: Path) -> int:
    written = 0
    for row in rows(folder):
        data = (root / row["path"]).read_bytes()
        for make in (strip, keep):
            try:
                made = make(data)
            except WorkFailed:
                assert row["expected"] != "ok", row["path"]
                continue
            (target / f"{make.__name__}-{row['path'].replace('/', '-')}").write_bytes(made)
            written += 1
    return written


def places(exiftool, folder: Path) -> list[bytes]:
    told = exiftool("-ee", "-a", "-G1", "-s", "-r", folder).stdout
    return PLACE_NAME.findall(told)


@pytest.mark.needs_imagemagick
def test_imagemagick_sees_the_same_pixels(imagemagick, samples: Path, tmp_path: Path) -> None:
    for row in good_rows(samples):
        data = (samples / row["path"]).read_bytes()
        if jpeg_bytes.read(data).orientation != 1:
            continue
        for make in (strip, keep):
            (tmp_path / "made.jpg").write_bytes(make(data))
            compared = imagemagick(
                f"jpeg:{samples / row['path']}",
                f"jpeg:{tmp_path / 'made.jpg'}",
                *("-metric", "AE", "-compare", "-format", "%[distortion]", "info:"),
            )

            assert compared.stdout == b"0", row["path"]


@pytest.mark.needs_imagemagick
def test_imagemagick_sees_the_same_pixels_in_the_large_corpus(
    imagemagick, shared: Path, tmp_path: Path
) -> None:
    for row in good_rows(shared / "corpus" / "public"):
        path = shared / "corpus" / row["path"]
        if row["exif_orientation"] not in ("", "1"):
            continue
        (tmp_path / "made.jpg").write_bytes(strip(path.read_bytes()))
        compared = imagemagick(
            *(f"jpeg:{path}[0]", f"jpeg:{tmp_path / 'made.jpg'}"),
            *("-metric", "AE", "-compare", "-format", "%[distortion]", "info:"),
        )

        assert compared.stdout == b"0", row["path"]


def test_the_coded_bytes_of_the_large_corpus_are_unchanged(shared: Path) -> None:
    for row in good_rows(shared / "corpus" / "public"):
        data = (shared / "corpus" / row["path"]).read_bytes()
        made = strip(data)
        scan = re.search(rb"\xff\xda\0[\6-\x0e][\1-\4]", made)

        assert scan
        assert made[scan.start() :] in data, row["path"]


def code_of(data: bytes) -> FailureCode | None:
    """How keeping metadata ends: with a failure of ours or, None, with a picture."""
    try:
        keep(data)
    except WorkFailed as failed:
        return failed.code
    return None


def test_spoilt_files_end_in_an_answer_or_in_a_failure_of_ours() -> None:
    data = with_segments(encoded(progressive=True), segment(0xE1, exif_with(6)), segment(0xE1, XMP_6))
    numbers = random.Random(1)
    codes = set()
    for _ in range(2000):
        spoilt = bytearray(data)
        for _ in range(numbers.randint(1, 8)):
            spoilt[numbers.randrange(len(spoilt))] = numbers.choice((0, 0xFF, numbers.randrange(256)))
        codes.add(code_of(bytes(spoilt[: numbers.choice((len(spoilt), numbers.randint(2, len(spoilt))))])))

    assert codes == {None, FailureCode.DAMAGED, FailureCode.NOT_A_JPEG}


@pytest.mark.parametrize(
    "filling", [b"\xff", b"\x00", b"\xff\x00", b"\xff\xd0", b"\xff\x01", b"\xff\xfe\0\2"], ids=bytes.hex
)
def test_time_grows_only_with_the_length(filling: bytes) -> None:
    data = encoded()
    at = data.index(b"\xff\xda")
    long_filling = filling * (4_000_000 // len(filling))
    started = time.process_time()

    codes = {code_of(data[:place] + long_filling + data[place:]) for place in (2, at, len(data) - 2)}

    assert time.process_time() - started < 5
    assert codes <= {None, FailureCode.DAMAGED}
