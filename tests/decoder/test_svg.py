"""SVG: drawn at the size needed, sealed off from everything outside of the document."""

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import AVATAR_SIZES, Avatars, Fit, Info
from remote_worker.decoder.loaders import fonts

from .pictures import corners, do, output, saved

NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def drawing(inside: str, size: str = 'width="60" height="40"', prolog: str = "") -> bytes:
    return f"{prolog}<svg {NAMESPACES} {size}>{inside}</svg>".encode()


RECT = '<rect width="100%" height="100%" fill="#00ff00"/>'


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ('width="60" height="40"', 10_000, (60, 40)),
        ('width="60" height="40"', 30, (30, 20)),
        ('width="300" height="200"', 100, (100, 67)),
        ('width="199" height="77"', 50, (50, 19)),
        ('viewBox="0 0 1000 3"', 100, (100, 1)),
        ('width="36pt" height="72pt"', 1000, (48, 96)),
    ],
)
def test_fit_draws_at_the_size_needed_and_never_above_the_natural_one(
    size: str, box: int, expected: tuple[int, int]
) -> None:
    made = output(Fit(width=box, height=box), drawing(RECT, size))

    assert (made.format, made.size) == ("PNG", expected)
    assert made.convert("RGB").getpixel((expected[0] // 2, expected[1] // 2)) == (0, 255, 0)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress])
def test_all_six_avatars_are_drawn_and_padded(wrap: type[bytes]) -> None:
    pictures = do(Avatars(), wrap(drawing(RECT, 'width="6" height="3"'))).pictures

    assert list(pictures) == [f"avatar{side}" for side in AVATAR_SIZES]
    for side, body in zip(AVATAR_SIZES, pictures.values(), strict=True):
        image = Image.open(io.BytesIO(body)).convert("RGBA")
        left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, 0, 0)
        assert (left, right, right - left) == (0, side, image.width)
        assert abs((bottom - top) - side / 2) <= 1
        assert abs(top - (side - bottom)) <= 1


def test_a_small_drawing_is_sharp_as_a_large_avatar() -> None:
    half = '<rect width="1" height="2" fill="red"/>'

    made = output(Avatars(), drawing(half, 'width="2" height="2"'), "avatar512").convert("RGBA")

    assert [made.getpixel((x, 256)) for x in (255, 256)] == [(255, 0, 0, 255), (0, 0, 0, 0)]


@pytest.mark.parametrize("reference", ["href", "xlink:href", "xlink:href ", "href\n"])
@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_picture_on_the_disk_is_not_drawn(tmp_path: Path, reference: str, quote: str, scheme: str) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(Image.new("RGB", (60, 40), "red"), "PNG"))
    image = f'<image width="60" height="40" {reference}={quote}{scheme}{secret}{quote}/>'

    made = output(Fit(width=60, height=40), drawing(image)).convert("RGBA")

    assert made.getbbox() is None


@pytest.mark.parametrize("bait", ['<desc>href="#</desc>', "<desc>href='data:</desc>", '<desc a="href=\'#"/>'])
def test_quotes_that_do_not_pair_hide_no_reference(tmp_path: Path, bait: str) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(Image.new("RGB", (60, 40), "red"), "PNG"))

    made = output(Fit(width=60, height=40), drawing(f'{bait}<image width="60" height="40" href="{secret}"/>'))

    assert made.convert("RGBA").getbbox() is None


def test_a_drawing_within_the_drawing_reaches_no_file(tmp_path: Path) -> None:
    import base64

    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(Image.new("RGB", (60, 40), "red"), "PNG"))
    inner = drawing(
        f'<rect width="5" height="5" fill="blue"/><image width="60" height="40" href="{secret}"/>'
    )
    uri = "data:image/svg+xml;base64," + base64.b64encode(inner).decode()

    made = output(Fit(width=60, height=40), drawing(f'<image width="60" height="40" href="{uri}"/>'))

    assert made.convert("RGBA").getbbox() == (0, 0, 5, 5)


def test_the_reference_of_the_test_before_would_be_followed_by_the_engine_alone(tmp_path: Path) -> None:
    import resvg_py

    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(Image.new("RGB", (60, 40), "red"), "PNG"))
    text = drawing(f'<image width="60" height="40" href="{secret}"/>').decode()

    assert Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=text))).getbbox() is not None


@pytest.mark.parametrize(
    "declaration",
    [
        "<!ENTITY e \"<image width='9' height='9' &#104;ref='/etc/passwd'/>\">",
        '<!-- <!ENTITY a " --><!ENTITY e "<image &#x68;ref=\'/etc/passwd\'/>">',
        '<!ENTITY e SYSTEM "file:///etc/passwd">',
        '<!ENTITY a "ha"><!ENTITY e "&a;&a;&a;&a;">',
    ],
)
def test_entities_that_could_hide_a_reference_are_refused(declaration: str) -> None:
    with pytest.raises(WorkFailed) as failed:
        do(Fit(width=60, height=40), drawing("&e;", prolog=f"<!DOCTYPE svg [{declaration}]>"))

    assert failed.value.code is FailureCode.DAMAGED


def test_a_picture_on_the_disk_is_not_drawn_by_an_entity_either(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(Image.new("RGB", (60, 40), "red"), "PNG"))
    image = f"<image width='60' height='40' href='{secret}'/><rect width='30' height='40' fill='blue'/>"

    made = output(Fit(width=60, height=40), drawing("&e;", prolog=f'<!DOCTYPE svg [<!ENTITY e "{image}">]>'))

    assert made.convert("RGBA").getbbox() == (0, 0, 30, 40)


def test_entities_for_namespaces_are_read() -> None:
    prolog = '<!DOCTYPE svg [<!ENTITY ns_x "http://example.org/"><!ENTITY c "#00ff00">]>'

    made = output(
        Fit(width=60, height=40), drawing('<rect width="60" height="40" fill="&c;"/>', prolog=prolog)
    )

    assert made.convert("RGB").getpixel((30, 20)) == (0, 255, 0)


def test_what_lies_inside_the_document_is_drawn() -> None:
    import base64

    png = base64.b64encode(saved(corners(60, 40), "PNG")).decode()
    inside = f'<defs><image id="i" width="60" height="40" xlink:href="data:image/png;base64,{png}"/></defs>'

    made = output(Fit(width=60, height=40), drawing(inside + '<use xlink:href="#i"/>')).convert("RGB")

    assert made.getpixel((15, 10)) == (255, 0, 0)


@pytest.mark.parametrize("family", ["", 'font-family="Never Installed"', 'font-family="monospace"'])
def test_text_is_drawn(family: str) -> None:
    text = f'<text x="2" y="30" font-size="24" {family}>Word</text>'

    assert output(Fit(width=60, height=40), drawing(text)).getbbox() is not None


def test_text_is_drawn_with_the_packaged_font_where_there_is_none() -> None:
    word = drawing('<text x="2" y="30">Word</text>').decode()
    code = (
        "import io, resvg_py\nfrom PIL import Image\nfrom remote_worker.decoder.loaders import svg\n"
        f"text = {word!r}\n"
        "options = dict(svg.FONT_OPTIONS, skip_system_fonts=True)\n"
        "drawn = resvg_py.svg_to_bytes(svg_string=text, **options)\n"
        "assert Image.open(io.BytesIO(drawn)).getbbox() is not None\n"
        "options['font_files'] = []\n"
        "drawn = resvg_py.svg_to_bytes(svg_string=text, **options)\n"
        "assert Image.open(io.BytesIO(drawn)).getbbox() is None\n"
    )

    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=60
    )
    assert fonts.FALLBACK_FONT.with_name("LICENSE.txt").read_text().count("Bitstream") >= 4


@pytest.mark.parametrize("prolog", ["", '<?xml version="1.0" encoding="utf-16"?>'])
def test_elements_nested_too_deep_are_refused(prolog: str) -> None:
    def nested(depth: int) -> bytes:
        return drawing("<g>" * depth + RECT + "</g>" * depth, prolog=prolog)

    assert output(Fit(width=60, height=40), nested(198)).convert("RGB").getpixel((9, 9)) == (0, 255, 0)
    with pytest.raises(WorkFailed) as failed:
        do(Fit(width=60, height=40), nested(199))
    assert failed.value.code is FailureCode.DAMAGED


def test_only_the_drawn_size_counts_against_the_limit() -> None:
    data = drawing(RECT, 'width="100000" height="100000"')

    assert output(Fit(width=100, height=100), data).size == (100, 100)
    assert do(Info(), data).facts["info"]["width"] == 100_000
    with pytest.raises(WorkFailed) as failed:
        do(Fit(width=8001, height=8001), data)
    assert failed.value.code is FailureCode.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "data", [b"<svg", drawing("")[:-3], b'<svg xmlns="http://www.w3.org/2000/svg" width="0"/>']
)
def test_broken_drawings_are_damaged(data: bytes) -> None:
    with pytest.raises(WorkFailed) as failed:
        do(Fit(width=10, height=10), data)

    assert failed.value.code in (FailureCode.DAMAGED, FailureCode.UNSUPPORTED_FORMAT)
