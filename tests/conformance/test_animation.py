"""All frames are kept where they are asked for, and only there."""

from pathlib import Path

import pytest

from .corpora import Sample, samples
from .second_reader import Exiftool
from .service import Service

MOVING = [
    sample
    for sample in samples()
    if sample.expected == "ok"
    and not sample.is_hostile
    and sample.format in ("gif", "apng", "webp")
    and 1 < (sample.frames or 1) <= 512
]
FRAME_TAGS = ("-FrameCount", "-AnimationFrames", "-AnimationPlays", "-FileType")


@pytest.mark.needs_exiftool
@pytest.mark.parametrize("sample", MOVING, ids=lambda sample: sample.id)
def test_animated_avatars_keep_every_frame_and_play_for_ever(
    sample: Sample, service: Service, exiftool_process: Exiftool, tmp_path: Path
) -> None:
    answer = service.post("/images/rescale_avatar?animated=1", sample.read())
    assert answer.status == 200, answer.json
    (tmp_path / "avatar").write_bytes(answer.pictures()["avatar24"])

    told = exiftool_process.tags([tmp_path / "avatar"], *FRAME_TAGS)[0]

    # To exiftool, 0 plays are endless ones.
    assert (told["FileType"], told.get("AnimationPlays")) == ("APNG", 0)
    # Equal frames that follow each other may be one longer frame.
    assert 1 < told["AnimationFrames"] <= (sample.frames or 0)


@pytest.mark.needs_exiftool
@pytest.mark.parametrize("name", ["gif/animated.gif", "apng/animated.png"])
def test_fit_keeps_the_frames_only_when_asked(
    name: str, service: Service, exiftool_process: Exiftool, tmp_path: Path
) -> None:
    sample = next(sample for sample in MOVING if sample.id == f"own/{name}")
    counted = {}
    for word in ("1", "0"):
        answer = service.post(f"/images/fit/32?animated={word}", sample.read(), raw=True)
        (tmp_path / word).write_bytes(answer.body)
        tags = exiftool_process.tags([tmp_path / word], *FRAME_TAGS)[0]
        counted[word] = tags.get("FrameCount") or tags.get("AnimationFrames") or 1

    assert counted == {"1": sample.frames, "0": 1}
