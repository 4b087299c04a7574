"""GIFs from pixels: colours that films share, changes laid over each other, and clear ground."""

import io

from PIL import Image, ImageChops, ImageStat

from remote_worker.decoder.gif_film import Animation

from .gifs import visible
from .pictures import noise


def gif_frames(frames: list[Image.Image]) -> tuple[int, list[Image.Image]]:
    """How long the GIF of these frames is, and what Pillow shows of it."""
    film = Animation(has_alpha=frames[0].mode == "RGBA", loop=0)
    for frame in frames:
        film.add(frame, 50)
    body = film.finish()
    made = Image.open(io.BytesIO(body))
    shown = []
    for at in range(len(frames)):
        made.seek(at)
        shown.append(made.convert(frames[0].mode))
    return len(body), shown


def worst(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def test_a_gif_takes_other_colours_when_the_scene_changes() -> None:
    gray = noise(90, 60, "L").convert("RGB")
    nothing = Image.new("L", gray.size)
    red, green = (
        Image.merge("RGB", bands)
        for bands in ((gray.getchannel(0), nothing, nothing), (nothing, gray.getchannel(0), nothing))
    )
    scenes = [gray, gray.rotate(180), red, red.rotate(180), green, gray]

    _, shown = gif_frames(scenes)

    assert [worst(*pair) < 2 for pair in zip(shown, scenes, strict=True)] == [True] * 6


def test_a_gif_in_which_little_changes_is_little_larger_than_a_still() -> None:
    frames = []
    for at in range(10):
        frame = noise(200, 150)
        # Two ends of the picture change, so that the rectangle of what differs is all of it.
        frame.paste(((25 * at) % 256, 0, 0), (0, 0, 8, 8))
        frame.paste((0, (99 * at) % 256, 0), (192, 142, 200, 150))
        frames.append(frame)

    size_bytes, shown = gif_frames(frames)

    assert size_bytes < 1.5 * gif_frames(frames[:1])[0]
    assert [worst(*pair) < 5 for pair in zip(shown, frames, strict=True)] == [True] * 10


def test_what_moves_over_nothing_leaves_no_trace_in_a_gif() -> None:
    frames = []
    for at in (0, 30, 60, 60, 10):
        frame = Image.new("RGBA", (100, 50))
        frame.paste((200, 30, 30, 255), (at, 5, at + 30, 45))
        frames.append(frame)
    frames.insert(2, Image.new("RGBA", (100, 50)))

    _, shown = gif_frames(frames)

    for frame, made in zip(frames, shown, strict=True):
        assert visible(made.tobytes(), made.size) == visible(frame.tobytes(), frame.size)
