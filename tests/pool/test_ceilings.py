"""What one caller may ask for at most, held in the jail beside the worker's own limits."""

import asyncio
import io
import time
from pathlib import Path

import pytest

from remote_worker.contract.callers import Caller
from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Ceilings, Limits
from remote_worker.contract.messages import Fit, Task
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings

CORPUS = Path(__file__).parents[1] / "corpus"
STILL = CORPUS / "jpeg" / "all-avatars.jpg"
FIT = Fit(width=64, height=64)
WHOLE = Fit(width=3000, height=3000)
Case = tuple[str, Task, Path, float]


async def came(pool: Pool, task: Task, picture: Path | bytes, **ceilings: float) -> FailureCode | int:
    """How many bytes came of it, or its failure."""
    caller = Caller("key:a", ceilings=Ceilings(**ceilings))
    with Document.of(picture if isinstance(picture, bytes) else picture.read_bytes()) as document:
        try:
            reply = await pool.decode(task, document, deadline=time.monotonic() + 20, caller=caller)
        except WorkFailed as failed:
            return failed.code
    return sum(len(picture.body) for picture in reply.pictures.values())


def test_each_ceiling_holds_and_its_neighbour_passes(samples: Path) -> None:
    from PIL import Image

    film = samples / "gif" / "animated.gif"
    with Image.open(film) as opened:
        frames, film_pixels = opened.n_frames, opened.n_frames * opened.width * opened.height
    with Image.open(STILL) as opened:
        pixels = opened.width * opened.height
    moving = Fit(width=64, height=64, animated=True)

    async def run() -> dict[str, tuple[object, object]]:
        async with Pool(PoolSettings(children=1, ready=1, formats=("jpeg", "gif")), Limits()) as pool:
            made = await came(pool, FIT, STILL)
            assert isinstance(made, int)
            rows = {
                "pixels": (FIT, STILL, pixels),
                "input_bytes": (FIT, STILL, STILL.stat().st_size),
                "frames": (moving, film, frames),
                "animation_pixels": (moving, film, film_pixels),
            }
            found = {
                name: (
                    await came(pool, task, path, **{name: most}),
                    await came(pool, task, path, **{name: most - 1}),
                )
                for name, (task, path, most) in rows.items()
            }
            found["output_bytes"] = (
                await came(pool, FIT, STILL, output_bytes=made + 4096),  # facts and a table besides
                await came(pool, FIT, STILL, output_bytes=made - 1),
            )
            # Above the worker's own it changes nothing.
            assert await came(pool, FIT, STILL, pixels=10**15, output_bytes=10**15) == made
            return found

    found = asyncio.run(run())

    assert {name: past for name, (_, past) in found.items()} == {
        "pixels": FailureCode.TOO_MANY_PIXELS,
        "input_bytes": FailureCode.TOO_LARGE,
        "frames": FailureCode.TOO_MANY_FRAMES,
        "animation_pixels": FailureCode.TOO_MANY_PIXELS,
        "output_bytes": FailureCode.OUTPUT_TOO_LARGE,
    }
    assert all(isinstance(inside, int) for inside, _ in found.values())


@pytest.mark.parametrize("ceiling", ["decode_seconds", "work_seconds"])
def test_time_is_held_from_outside(ceiling: str) -> None:
    from PIL import Image

    # Much work, so that nothing has come of it when a busy machine looks at the clock at last.
    written = io.BytesIO()
    Image.effect_noise((3000, 2000), 80).save(written, "JPEG")
    large = written.getvalue()

    async def run() -> tuple[object, object]:
        async with Pool(PoolSettings(children=1, ready=1, formats=("jpeg",)), Limits()) as pool:
            return (
                await came(pool, WHOLE, large, **{ceiling: 20.0}),
                await came(pool, WHOLE, large, **{ceiling: 0.0001}),
            )

    inside, past = asyncio.run(run())

    assert isinstance(inside, int)
    assert past is FailureCode.DEADLINE


def test_ceilings_are_lowered_one_by_one_and_never_raised() -> None:
    both = Ceilings(pixels=5, frames=7).and_also(Ceilings(pixels=6, frames=3, input_bytes=1))

    assert both == Ceilings(pixels=5, frames=3, input_bytes=1)
    assert Limits().lowered(Ceilings(pixels=10**15, frames=3).of_limits()) == Limits(frames=3)
