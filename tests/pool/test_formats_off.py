"""Templates and formats that are off: what is loaded, what is started, and what is answered."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.formats import FormatName, switched_on
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Fit
from remote_worker.pool.pool import Pool
from remote_worker.pool.settings import PoolSettings

SAMPLES = Path(__file__).parents[2] / "src" / "remote_worker" / "decoder" / "samples"


def pool(*words: str) -> Pool:
    return Pool(PoolSettings(children=1, ready=1, formats=switched_on(words)), Limits())


async def code_of(pool: Pool, sample: str, target: str = "webp") -> FailureCode | None:
    with Document.of((SAMPLES / sample).read_bytes()) as document:
        try:
            await pool.decode(Fit(width=8, height=8, format=target), document, deadline=time.monotonic() + 30)
        except WorkFailed as failed:
            return failed.code
    return None


def mapped(pid: int) -> set[str]:
    """The names of the shared libraries in a process, without versions."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[5] for line in lines if ".so" in line}
    return {re.split(r"[-.]", Path(file).name)[0] for file in files}


OWN_LIBRARIES = {
    "heic": {"libheif", "libde265", "libx265", "_pillow_heif"},
    "jxl": {"pillow_jxl"},
    "avif": {"libavif", "_avif"},
    "webp": {"libwebp", "libwebpdemux", "_webp"},
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a sealed process")
def test_the_library_of_a_format_that_is_off_is_not_in_the_template() -> None:
    async def libraries(*words: str) -> set[str]:
        async with pool(*words) as opened:
            return mapped(opened.reports()["raster"]["pid"])

    own = set().union(*(names for name, names in OWN_LIBRARIES.items() if name != "jxl"))
    with_all = asyncio.run(libraries())
    without = asyncio.run(libraries(*(f"-{name}" for name in OWN_LIBRARIES)))

    assert own <= with_all
    assert not set().union(*OWN_LIBRARIES.values()) & without
    assert "resvg_py" not in with_all


def test_without_svg_its_template_is_not_started_and_the_rest_works() -> None:
    async def run() -> None:
        async with pool("-svg") as opened:
            assert set(opened.reports()) == {"raster"}
            assert await code_of(opened, "sample.svg") is FailureCode.FORMAT_UNAVAILABLE
            assert await code_of(opened, "sample.png") is None
            health = await opened.check()
            assert health.ok
            assert health.formats["svg"].word == "off"
            assert health.formats["png"].word == "ok"

    asyncio.run(run())


@pytest.mark.parametrize("words", [["svg", "webp"], *([name] for name in FormatName)])
def test_a_worker_of_few_formats_is_healthy_and_refuses_the_others(words: list[str]) -> None:
    if "jxl" in words:
        pytest.importorskip("pillow_jxl")

    async def run() -> None:
        async with pool(*words) as opened:
            health = await opened.check()
            assert health.ok, health.reason
            assert {name for name, row in health.formats.items() if row.word == "ok"} == set(words)
            assert {row.word for row in health.formats.values()} == {"ok", "off"}
            assert await code_of(opened, "sample.png", "avif") is FailureCode.FORMAT_UNAVAILABLE
            if "webp" in words:
                assert await code_of(opened, "sample.webp") is None
                assert await code_of(opened, "sample.webp", "jpeg") is FailureCode.FORMAT_UNAVAILABLE

    asyncio.run(run())


def test_bytes_of_no_format_are_still_unsupported(tmp_path: Path) -> None:
    async def run() -> FailureCode | None:
        async with pool("-png") as opened:
            return await code_of(opened, str(text))

    text = tmp_path / "text"
    text.write_bytes(b"no picture at all")

    assert asyncio.run(run()) is FailureCode.UNSUPPORTED_FORMAT


def test_every_format_is_on_by_default() -> None:
    assert PoolSettings().formats == tuple(FormatName)
