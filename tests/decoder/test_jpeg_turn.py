"""JPEGs made upright, by the lossless transform and by encoding again."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.decoder import jpeg_bytes, jpeg_turn

LIMITS = Limits()


@pytest.fixture(params=["encoded again", pytest.param("lossless", marks=pytest.mark.needs_turbojpeg)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways; the library is put back as it was."""
    monkeypatch.setattr(jpeg_turn, "_library", None)
    if request.param == "lossless":
        assert jpeg_turn.load_library() == "libturbojpeg.so.0"
    return str(request.param)


def photo(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Smooth and without any symmetry."""
    ramp = Image.linear_gradient("L").resize(size)
    bands = [ramp, ramp.transpose(Image.Transpose.ROTATE_90).resize(size), Image.new("L", size, 90)]
    image = Image.merge("RGB", bands)
    image.paste((250, 240, 10), (3, 2, size[0] // 3, size[1] // 4))
    return image.convert(mode)


def encoded(image: Image.Image, orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    exif[0xA002], exif[0xA003] = image.size
    output = io.BytesIO()
    image.save(output, "JPEG", exif=exif, **options)
    return output.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def prepared(data: bytes, keep_metadata: bool, limits: Limits) -> bytes:
    return b"".join(jpeg_turn.prepare(data, keep_metadata, limits).pieces)


def turn(data: bytes, orientation: int) -> bytes:
    return jpeg_turn.turn(data, jpeg_bytes.read(data), orientation)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean of the channels' mean differences, of 255."""
    assert one.size == other.size
    assert one.mode == other.mode
    mean = ImageStat.Stat(ImageChops.difference(one, other)).mean
    return sum(mean) / len(mean)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(64, 48), (61, 37)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(
    way: str, orientation: int, size: tuple[int, int], mode: str
) -> None:
    data = encoded(photo(size, mode), orientation, quality=90)

    made = opened(prepared(data, False, LIMITS))

    assert difference(made, ImageOps.exif_transpose(opened(data))) < 4
    assert not made.getexif()


@pytest.mark.parametrize(("orientation", "size"), [(1, (61, 37)), (4, (61, 37)), (5, (37, 61))])
def test_the_size_that_is_told_is_the_upright_one(way: str, orientation: int, size: tuple[int, int]) -> None:
    made = jpeg_turn.prepare(encoded(photo((61, 37)), orientation), False, LIMITS)

    assert made.size == opened(b"".join(made.pieces)).size == size


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", [3, 6])
def test_turning_keeps_the_kind_of_coding(
    way: str, orientation: int, progressive: bool, subsampling: int
) -> None:
    data = encoded(photo((64, 48)), orientation, progressive=progressive, subsampling=subsampling, quality=85)

    made = prepared(data, False, LIMITS)

    assert jpeg_bytes.read(made).is_progressive is progressive
    assert difference(opened(made), ImageOps.exif_transpose(opened(data))) < 1.5


@pytest.mark.needs_turbojpeg
@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_whole_blocks_loses_nothing(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_turn, "_library", None)
    jpeg_turn.load_library()
    data = encoded(photo((64, 48)), orientation, subsampling=0, quality=90)
    back = {6: 8, 8: 6}.get(orientation, orientation)

    there = turn(data, orientation)
    again = turn(there, back)

    assert difference(opened(again), opened(data)) == 0


def test_encoding_again_uses_the_tables_of_the_upload_on_their_side() -> None:
    table = list(range(1, 65))
    image = photo((64, 48))
    flat, turned = (opened(turn(encoded(image, way, qtables=[table, table]), way)) for way in (3, 6))

    assert flat.quantization[0] == table
    assert turned.quantization[0] == [8 * column + row + 1 for row in range(8) for column in range(8)]


@pytest.mark.parametrize(
    ("subsampling", "orientation", "layers"),
    [
        (0, 3, [(1, 1), (1, 1), (1, 1)]),
        (1, 3, [(2, 1), (1, 1), (1, 1)]),
        (2, 3, [(2, 2), (1, 1), (1, 1)]),
        (0, 6, [(1, 1), (1, 1), (1, 1)]),
        (1, 6, [(1, 1), (1, 1), (1, 1)]),
        (2, 6, [(2, 2), (1, 1), (1, 1)]),
    ],
)
def test_encoding_again_samples_no_coarser(
    subsampling: int, orientation: int, layers: list[tuple[int, int]]
) -> None:
    data = encoded(photo((61, 37)), orientation, subsampling=subsampling)

    made = jpeg_bytes.read(jpeg_turn.encoded_again(data, jpeg_bytes.read(data), orientation))

    assert [(component.across, component.down) for component in made.components] == layers


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_encoded_in_strips_is_the_one_encoded_at_once(
    orientation: int, subsampling: int, mode: str
) -> None:
    table = list(range(1, 65))
    sideways = [8 * column + row + 1 for row in range(8) for column in range(8)]
    data = encoded(photo((403, 601), mode), orientation, qtables=[table] * 2, subsampling=subsampling)
    at_once = io.BytesIO()
    ImageOps.exif_transpose(opened(data)).save(
        at_once,
        "JPEG",
        qtables=[sideways if orientation >= 5 else table] * 2,
        subsampling=subsampling if mode == "RGB" else 0,
        exif=b"",
    )

    made = jpeg_turn.encoded_again(data, jpeg_bytes.read(data), orientation)

    assert b"\xff\xd0" in made
    assert difference(opened(made), opened(at_once.getvalue())) == 0


def test_strips_of_a_wide_picture_are_lower() -> None:
    data = encoded(Image.linear_gradient("L").resize((16_400, 260)), 3, quality=90)

    made = jpeg_turn.encoded_again(data, jpeg_bytes.read(data), 3)

    interval = made.index(b"\xff\xdd\0\4") + 4
    assert int.from_bytes(made[interval : interval + 2]) == 31 * 2050
    assert difference(opened(made), ImageOps.exif_transpose(opened(data))) < 1


@pytest.mark.parametrize("quality", [50, 90, 100])
def test_noise_of_any_quality_can_be_encoded_again(quality: int) -> None:
    noise = Image.merge("RGB", [Image.effect_noise((300, 201), 200) for _ in range(3)])
    data = encoded(noise, 6, quality=quality, subsampling=0)

    made = opened(jpeg_turn.encoded_again(data, jpeg_bytes.read(data), 6))

    assert difference(made, ImageOps.exif_transpose(opened(data))) < 30


def test_channels_that_are_rgb_stay_rgb(way: str) -> None:
    data = encoded(photo((61, 48)), 6, keep_rgb=True, quality=90)
    assert jpeg_bytes.is_rgb(data, jpeg_bytes.read(data))

    made = prepared(data, False, LIMITS)

    assert jpeg_bytes.is_rgb(made, jpeg_bytes.read(made))
    assert difference(opened(made), ImageOps.exif_transpose(opened(data))) < 1.5


def test_profile_and_density_survive_the_turn(way: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(photo((64, 48)), 6, icc_profile=profile, dpi=(144, 144))

    made = opened(prepared(data, False, LIMITS))

    assert made.info["icc_profile"] == profile
    assert made.info["dpi"] == (144, 144)


def test_kept_metadata_speaks_of_the_turned_picture(way: str) -> None:
    data = encoded(photo((64, 48)), 6)

    exif = opened(prepared(data, True, LIMITS)).getexif()

    assert dict(exif) == {0x010F: "Maker", 0x0112: 1, 0xA002: 48, 0xA003: 64}


def test_what_is_cut_off_is_damaged(way: str) -> None:
    data = encoded(photo((64, 48)), 6, quality=95)

    with pytest.raises(WorkFailed) as failed:
        prepared(data[:-40], False, LIMITS)

    assert failed.value.code is FailureCode.DAMAGED


def test_a_scan_that_stops_early_keeps_its_size(way: str) -> None:
    data = encoded(photo((64, 48)), 6, quality=95)
    cut = data[: data.index(b"\xff\xda\0") + 40] + b"\xff\xd9"

    assert opened(prepared(cut, False, LIMITS)).size == (48, 64)


def test_tables_that_are_missing_are_damage(way: str) -> None:
    data = encoded(photo((64, 48)), 6, qtables=[[1] * 64])
    at = data.index(b"\xff\xdb")

    with pytest.raises(WorkFailed) as failed:
        prepared(data[:at] + data[at + 69 :], False, LIMITS)

    assert failed.value.code is FailureCode.DAMAGED


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        (Limits(pixels=64 * 48), True),
        (Limits(pixels=64 * 48 - 1), False),
        (Limits(side_pixels=64), True),
        (Limits(side_pixels=63), False),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_limits_hold_before_a_pixel_is_decoded(orientation: int, limits: Limits, passes: bool) -> None:
    data = encoded(photo((64, 48)), orientation)

    if passes:
        assert prepared(data, False, limits)
    else:
        with pytest.raises(WorkFailed) as failed:
            prepared(data, False, limits)
        assert failed.value.code is FailureCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_photos_of_all_eight_orientations_look_alike(way: str, name: str, shared: Path) -> None:
    folder = shared / "corpus" / "public" / "jpeg"
    first = opened((folder / f"recurser-{name}_1.jpg").read_bytes())
    for orientation in range(2, 9):
        data = (folder / f"recurser-{name}_{orientation}.jpg").read_bytes()

        made = opened(prepared(data, False, LIMITS))

        assert difference(made, first) < 4


def test_hostile_jpegs_end_in_a_picture_or_in_a_failure_of_ours(way: str, shared: Path) -> None:
    folder = shared / "corpus" / "hostile"
    codes = set()
    for path in sorted(folder.rglob("*.jp*g")):
        for keep_metadata in (False, True):
            try:
                prepared(path.read_bytes(), keep_metadata, LIMITS)
            except WorkFailed as failed:
                codes.add(failed.code)

    assert codes == {FailureCode.DAMAGED, FailureCode.NOT_A_JPEG, FailureCode.TOO_MANY_PIXELS}


@pytest.mark.needs_imagemagick
def test_imagemagick_agrees_about_turned_cmyk(way: str, imagemagick, tmp_path: Path) -> None:
    data = encoded(photo((61, 48), "CMYK"), 6, quality=95)
    (tmp_path / "upload.jpg").write_bytes(data)
    (tmp_path / "made.jpg").write_bytes(prepared(data, False, LIMITS))

    compared = imagemagick(
        *(tmp_path / "upload.jpg", "-auto-orient", tmp_path / "made.jpg"),
        *("-metric", "PSNR", "-compare", "-format", "%[distortion]", "info:"),
    )

    assert float(compared.stdout) > 30
