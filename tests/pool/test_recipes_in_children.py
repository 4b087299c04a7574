"""Recipes and metadata come out of sealed children, checked, as from the decoder itself."""

import asyncio
import io
import time
from pathlib import Path

import pytest
from PIL import Image

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import FACTS, Info, Output, Recipe, Reply, Task
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><circle cx="40" cy="99" r="30"/></svg>'
)
RECIPE = Recipe(
    outputs=(
        Output(name="fit", width=100, height=100),
        Output(name="cover", width=64, height=64, mode="cover", gravity="attention", format="webp"),
        Output(name="pad", width=90, height=120, mode="pad", background="00ff0080", format="png"),
        Output(name="crop", width=50, height=40, mode="crop", gravity="southeast", format="avif"),
    ),
    facts=FACTS,
)


async def answers(*asked: tuple[Task, bytes]) -> list[Reply | FailureCode]:
    made: list[Reply | FailureCode] = []
    async with Pool(PoolSettings(children=1, ready=1), Limits()) as pool:
        for task, data in asked:
            with Document.of(data) as document:
                try:
                    made.append(await pool.decode(task, document, deadline=time.monotonic() + 20))
                except WorkFailed as failed:
                    made.append(failed.code)
    return made


@pytest.fixture(scope="module")
def replies() -> list[Reply | FailureCode]:
    corpus = Path(__file__).parents[1] / "corpus"
    photo = (corpus / "jpeg" / "all-avatars.jpg").read_bytes()
    placed = (corpus / "jpeg" / "gps-exif.jpg").read_bytes()
    most = Recipe(outputs=(Output(name="pad", width=65_535, height=65_535, mode="pad"),))
    wide = Recipe(outputs=(Output(name="pad", width=8000, height=8000, mode="pad", format="avif"),))
    return asyncio.run(
        answers((RECIPE, photo), (RECIPE, SVG), (Info(metadata=True), placed), (most, photo), (wide, photo))
    )


@pytest.mark.parametrize("at", [0, 1])
def test_a_recipe_comes_out_of_a_sealed_child(replies: list[Reply | FailureCode], at: int) -> None:
    reply = replies[at]

    assert isinstance(reply, Reply)
    sizes = {name: Image.open(io.BytesIO(bytes(one.body))).size for name, one in reply.pictures.items()}
    assert sizes == {"fit": sizes["fit"], "cover": (64, 64), "pad": (90, 120), "crop": (50, 40)}
    assert max(sizes["fit"]) == 100
    assert reply.info.keys() == set(FACTS)


def test_metadata_comes_out_of_a_sealed_child(replies: list[Reply | FailureCode]) -> None:
    reply = replies[2]

    assert isinstance(reply, Reply)
    assert reply.info["metadata"]["gps"] is not None
    assert reply.info["width"] > 0


def test_an_output_that_is_a_bomb_is_refused(replies: list[Reply | FailureCode]) -> None:
    assert replies[3] is FailureCode.TOO_MANY_PIXELS


def test_an_avif_that_needs_more_memory_than_there_is_brings_no_child_down(
    replies: list[Reply | FailureCode],
) -> None:
    assert replies[4] is FailureCode.TOO_MUCH_MEMORY
