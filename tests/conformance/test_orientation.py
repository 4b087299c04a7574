"""Pictures that a camera stored in eight different ways come out the same way up."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from .corpora import Sample, samples
from .second_reader import ImageMagick
from .service import Service
from .similarity import mean_difference

SIDE = 48
SAME = 6.0
"""Levels of 255. A turned picture is more than twenty away."""

KIND_OF_TURN = re.compile(r"orient(?:ation[-_])?\d(?:-pixels)?|rot\dmir\d|(?<=scape_)\d|(?<=trait_)\d")


def _sets() -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples():
        stem, turns = KIND_OF_TURN.subn("*", sample.id)
        if turns and not sample.is_hostile and sample.expected == "ok":
            found[stem].append(sample)
    return {stem: members for stem, members in found.items() if len(members) > 1}


SETS = _sets()


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize("stem", SETS)
@pytest.mark.parametrize(
    "question", ["/images/fit/96?format=png", "/images/prepare_jpeg"], ids=["fit", "prepare"]
)
def test_a_set_of_orientations_comes_out_alike(
    stem: str, question: str, service: Service, reference_maker: ImageMagick, tmp_path: Path
) -> None:
    if "prepare" in question and SETS[stem][0].format != "jpeg":
        pytest.skip("prepare_jpeg takes JPEG only")
    written: list[Path] = []
    for number, sample in enumerate(SETS[stem]):
        answer = service.post(question, sample.read(), raw=True)
        assert answer.status == 200, (sample.id, answer.json)
        written.append(tmp_path / f"{number}")
        written[-1].write_bytes(answer.body)
    seen = reference_maker.pixels(written, [SIDE] * len(written), scaled=True)

    names = [sample.id for sample in SETS[stem]]
    distance = {name: mean_difference(seen[0], pixels) for name, pixels in zip(names, seen, strict=True)}

    assert max(distance.values()) < SAME, distance


@pytest.mark.needs_imagemagick
def test_a_picture_that_lies_on_its_side_is_far_from_upright(reference_maker: ImageMagick) -> None:
    members = [sample for sample in samples() if re.fullmatch(r"own/jpeg/orientation-[1368]\.jpg", sample.id)]
    paths = [sample.path for sample in members]
    upright, *turned = reference_maker.pixels(paths, [SIDE] * len(paths), scaled=True)

    assert min(mean_difference(upright, pixels) for pixels in turned) > 3 * SAME
