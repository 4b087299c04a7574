"""Every sample of every corpus gets the right answer, and the service goes on answering."""

import pytest

from .corpora import MIME, Sample, samples
from .examine import ALIKE, Ahead, Findings
from .second_reader import READ_BY_IMAGEMAGICK
from .service import Answer, Service

SAMPLES = samples()
GOOD = [sample for sample in SAMPLES if sample.expected == "ok"]
WELCOME = [sample for sample in GOOD if not sample.is_hostile]
ALWAYS_DUE = (24, 48, 73)
DUE_WHEN_LARGE_ENOUGH = (128, 256, 512)
ONE_PICTURE = {"ico", "icns", "psd"}
"""Formats that may hold several pictures or layers, of which one is meant."""

SMALLEST_COMPARED = 8
"""The filter reaches three pixels to each side; beyond the edges of less, every reader goes its own way."""

MISREAD_BY_IMAGEMAGICK = {
    "public/tiff/pillow-old-style-jpeg-compression.tif": "its colours come out green",
    "public/png/pngsuite-g25n3p04.png": "its gAMA of 2.5 is left out, only 1.0 is heeded",
    "public/jp2/libvips-Bretagne2_4.j2k": "the offset of the picture is taken off twice",
    "public/tiff/libvips-subsampled.tif": "its lines come out torn",
    "public/avif/libavif-fox.profile0.10bpc.yuv420.monochrome.avif": "the limited range is not stretched",
}
"""Looked at by eye: these are the reference's mistakes."""

ANSWER_SECONDS = 16.0
"""Queue and work take at most 15 s from the last byte of the upload."""


def each(chosen: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", chosen, ids=lambda sample: sample.id)


def _can_be_compared(sample: Sample) -> bool:
    return (
        sample.format in READ_BY_IMAGEMAGICK
        and sample.id not in MISREAD_BY_IMAGEMAGICK
        and min(sample.display_size or (0, 0)) >= SMALLEST_COMPARED
    )


@each(WELCOME)
def test_info_agrees_with_what_is_known_about_the_file(sample: Sample, findings: Ahead) -> None:
    answer = findings[sample].info

    assert answer.status == 200, answer.json
    known = {
        "mime_type": MIME[sample.format],
        "binary_size": sample.path.stat().st_size,
        "width": sample.width,
        "height": sample.height,
        "display_width": sample.display_width,
        "display_height": sample.display_height,
        "frames": 1 if sample.format in ONE_PICTURE else sample.frames,
        "has_alpha": sample.has_alpha,
        "orientation": sample.orientation,
        "has_gps": sample.has_gps,
    }
    told = {name: answer.json.get(name) for name, value in known.items() if value is not None}
    assert told == {name: value for name, value in known.items() if value is not None}


@each(WELCOME)
def test_fit_into_a_large_box_is_the_whole_picture(sample: Sample, findings: Ahead) -> None:
    answer = findings[sample].fit

    assert answer.status == 200, answer.json
    assert answer.mime.startswith("image/")
    assert answer.body


@pytest.mark.needs_exiftool
@each([sample for sample in WELCOME if sample.display_size])
def test_fit_has_the_upright_size_to_a_second_reader(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    assert found.sizes.get("output") == sample.display_size


@each(GOOD)
def test_all_avatars_that_are_due_are_there(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]
    avatars = {name: value for name, value in found.avatars.json.items() if name.startswith("avatar")}

    assert found.avatars.status == 200, found.avatars.json
    assert set(avatars) == {f"avatar{side}" for side in _due(sample, found)}
    for name, body in found.avatars.pictures().items():
        assert len(body) == avatars[name]["size"]
        assert body.startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.needs_exiftool
@each(WELCOME)
def test_avatars_are_square_to_a_second_reader(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]
    avatars = {name: size for name, size in found.sizes.items() if name != "output"}

    assert avatars == {f"avatar{side}": (side, side) for side in _due(sample, found)}


@pytest.mark.needs_imagemagick
@each([sample for sample in WELCOME if _can_be_compared(sample)])
def test_avatars_look_like_those_of_imagemagick(sample: Sample, findings: Ahead) -> None:
    likeness = findings[sample].likeness
    if not likeness:
        pytest.skip("ImageMagick cannot read this file")

    unlike = {name: round(value, 4) for name, value in likeness.items() if value < ALIKE}
    assert not unlike


@each([sample for sample in SAMPLES if sample.expected == "partial"])
def test_an_odd_file_is_shown_or_refused(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    for answer in (found.info, found.fit, found.avatars):
        assert _is_picture(answer) or _is_refusal(answer), (answer.status, answer.json)


@each([sample for sample in SAMPLES if sample.expected == "reject"])
def test_what_must_be_refused_is_refused(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    assert _is_refusal(found.fit), (found.fit.status, found.fit.json)
    assert _is_refusal(found.avatars), (found.avatars.status, found.avatars.json)
    assert _is_picture(found.info) or _is_refusal(found.info), (found.info.status, found.info.json)


@each([sample for sample in SAMPLES if sample.expected == "bomb"])
def test_a_bomb_is_refused_or_bounded(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    for answer in (found.info, found.fit, found.avatars):
        assert _is_picture(answer) or _is_refusal(answer) or _is_past_its_deadline(answer), (
            answer.status,
            answer.json,
        )


@each([sample for sample in SAMPLES if sample.id.endswith("gen-pattern-exponential.svg")])
def test_a_bomb_is_bounded_in_ordinary_settings(sample: Sample, service: Service) -> None:
    answer = service.post("/images/fit/800", sample.read(), raw=True)

    assert _is_past_its_deadline(answer), (answer.status, answer.json)
    assert answer.seconds < ANSWER_SECONDS


@each([sample for sample in GOOD if sample.is_hostile])
def test_good_pixels_in_a_hostile_wrapping_are_shown(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    for answer in (found.info, found.fit, found.avatars):
        assert _is_picture(answer), (answer.status, answer.json)


@each(SAMPLES)
def test_every_answer_comes_in_time_and_the_next_image_is_served(sample: Sample, findings: Ahead) -> None:
    found = findings[sample]

    assert max(answer.seconds for answer in (found.info, found.fit, found.avatars)) < ANSWER_SECONDS
    assert found.benign.status == 200
    assert found.benign.mime == "image/png"


@pytest.mark.parametrize(("name", "status"), [("frames-512.gif", 200), ("frames-513.gif", 422)])
def test_512_frames_may_be_asked_for_and_one_more_may_not(service: Service, name: str, status: int) -> None:
    data = next(sample for sample in WELCOME if sample.id == f"own/gif/{name}").read()

    answer = service.post("/images/fit/8?animated=1", data)

    assert answer.status == status
    assert answer.code == ("" if status == 200 else "too_many_frames")


@pytest.mark.parametrize(("name", "status"), [("64-megapixels", 200), ("64-megapixels-and-a-row", 422)])
def test_64_megapixels_are_shown_and_a_row_more_is_not(service: Service, name: str, status: int) -> None:
    data = next(sample for sample in SAMPLES if sample.id == f"own/hostile/bomb/{name}.png").read()

    answer = service.post("/images/fit/64", data)

    assert answer.status == status
    assert answer.code == ("" if status == 200 else "too_many_pixels")


def _due(sample: Sample, found: Findings) -> set[int]:
    if sample.format == "svg":
        return {*ALWAYS_DUE, *DUE_WHEN_LARGE_ENOUGH}
    size = sample.display_size or (found.info.json["display_width"], found.info.json["display_height"])
    return {*ALWAYS_DUE, *(side for side in DUE_WHEN_LARGE_ENOUGH if min(size) >= side)}


def _is_picture(answer: Answer) -> bool:
    return answer.status == 200


def _is_refusal(answer: Answer) -> bool:
    return 400 <= answer.status < 500 and _has_the_shape_of_a_failure(answer)


def _is_past_its_deadline(answer: Answer) -> bool:
    return answer.status == 504 and answer.code == "deadline" and _has_the_shape_of_a_failure(answer)


def _has_the_shape_of_a_failure(answer: Answer) -> bool:
    told = answer.json
    return (
        told.get("status") == "error"
        and told.get("success") is False
        and all(isinstance(told.get(name), str) and told[name] for name in ("message", "code", "request_id"))
    )
