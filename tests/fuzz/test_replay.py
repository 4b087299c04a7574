"""The fuzz targets without a fuzzer: seeds, samples, what once broke one, and some mutations."""

import importlib.util
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from fuzz.structure.families import FAMILIES, family_of
from fuzz.structure.mutate import mutated
from fuzz.target import FOUND, PROJECT, SEEDS, Target
from fuzz.targets import (
    TARGETS,
    frames,
    jpeg_bytes,
    metadata,
    multipart,
    requests,
    signatures,
    urls,
    verify,
    wire,
    writers,
)
from remote_worker.contract.addresses import Address
from remote_worker.contract.links import Verdict
from remote_worker.contract.messages import Picture, Reply, Task
from remote_worker.contract.signatures import Template
from remote_worker.decoder.header import Header

MUTATIONS = 40
"""For each target: what a fuzzer does in a tenth of a second."""

by_name = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def samples() -> list[Path]:
    folder = PROJECT / "tests" / "corpus"
    return [path for path in sorted(folder.glob("*/*.*")) if path.parent.name not in ("making", "hostile")]


@by_name
def test_every_property_holds_for_seeds_samples_and_what_once_broke_it(target: Target) -> None:
    for path in target.inputs():
        try:
            target.run(path.read_bytes())
        except BaseException as broken:
            broken.add_note(str(path))
            raise


@by_name
def test_every_property_holds_for_some_mutations(target: Target) -> None:
    random = Random(target.name)
    known = [path.read_bytes() for path in target.inputs()] or [random.randbytes(400)]
    for number in range(MUTATIONS):
        data, done = mutated(random.choice(known), random.choice(known), random, most_bytes=target.most_bytes)
        try:
            target.run(data)
        except BaseException as broken:
            broken.add_note(f"mutation {number}: {done}")
            raise


def test_every_folder_of_inputs_belongs_to_a_target_and_the_seeds_are_small() -> None:
    names = {target.name for target in TARGETS}
    folders = [folder for parent in (SEEDS, FOUND) for folder in parent.iterdir() if folder.is_dir()]
    files = [path for folder in folders for path in folder.iterdir()]

    assert {folder.name for folder in folders} <= names
    assert len(names) == len(TARGETS)
    assert sum(path.stat().st_size for path in files) < 300_000


# A property that nothing can break says nothing: each kind is shown a variant that is wrong.


def _to_raster(_: bytes) -> Template:
    return Template.RASTER


def _without_the_end_of_chunks(form: object, buffer: bytearray, start: int, end: int) -> None:
    multipart.upload._Form.feed(form, buffer, start, end - 1)


class _Forgetful(requests.Connection):
    """Takes a letter for another in what comes in small pieces."""

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes < 100 and self.cycle is not None:
            self.config.incoming[:nbytes] = self.config.incoming[:nbytes].replace(b"c", b"d")
        super().buffer_updated(nbytes)


def _with_metadata(data: bytes) -> list[bytes | memoryview]:
    jpeg_bytes.jpeg_bytes.read(data)
    return [data]


def _with_bytes_changed(data: bytes) -> list[bytes | memoryview]:
    made = bytearray(b"".join(jpeg_bytes.jpeg_bytes.strip(data)))
    made[-4] ^= 0x10
    return [bytes(made)]


def _unscrubbed(block: bytes) -> bytes:
    return block


def _one_byte_long(body: bytes) -> dict[str, memoryview]:
    found = wire.wire.read_parts(body)
    return {name: memoryview(body)[: len(part) + 1].toreadonly() for name, part in found.items()}


def _whatever(task: Task, body: bytes) -> Reply:
    del task
    picture = Picture(format="png", width=99_999, height=1, frames=1, body=memoryview(body)[:4])
    return Reply(format="png", mime="image/png", pictures={"output": picture}, info={})


def _with_wrong_checksums(image: object) -> list[bytes]:
    made = bytearray(b"".join(writers.png_chunks.still(image)))
    made[-1] ^= 1
    return [bytes(made)]


def _one_frame_less(data: bytes, header: Header, most_bytes: int) -> bytes:
    made = frames.gif_copy.copied(data, header, most_bytes)
    return made.replace(b"\x21\xf9\x04", b"\x21\xfe\x04", 2)


def _in_a_browsers_way(text: str, base: urls.url.Target | None = None) -> urls.url.Target:
    return urls.url.parse(text.replace("\\", "/").replace("0x7f.1", "127.0.0.1"), base)


def _as_the_interpreter_sees_it(target: object, addresses: Sequence[Address]) -> tuple[Verdict, ...]:
    return tuple(Verdict(address=str(address), allowed=address.is_global, rule="") for address in addresses)


@pytest.mark.parametrize(
    ("target", "check", "broken"),
    [
        ("signatures", signatures.agree, _to_raster),
        ("multipart", multipart.same_as_the_parser, _without_the_end_of_chunks),
        ("requests", requests.same_in_any_pieces, _Forgetful),
        ("url", urls.parsed, _in_a_browsers_way),
        ("address", urls.judged, _as_the_interpreter_sees_it),
        ("jpeg_keep", jpeg_bytes.kept, _with_metadata),
        ("jpeg_strip", jpeg_bytes.stripped, _with_bytes_changed),
        ("exif", metadata.of_exif, _unscrubbed),
        ("xmp", metadata.of_xmp, _unscrubbed),
        ("parts", wire.parts, _one_byte_long),
        ("reply_built", verify.built, _whatever),
        ("write_png", writers.png_still, _with_wrong_checksums),
        ("gif_frames", frames.of_gif, _one_frame_less),
    ],
)
def test_a_broken_part_breaks_its_property(
    target: str, check: Callable[..., None], broken: Callable[..., object]
) -> None:
    (known,) = (one for one in TARGETS if one.name == target)
    inputs = [path.read_bytes() for path in known.inputs()] or [bytes(range(1, 200))]

    # A part that is broken may also fail in its own way; the property is what must notice.
    def noticed(data: bytes) -> bool:
        try:
            check(data, broken)
        except AssertionError:
            return True
        return False

    assert any(map(noticed, inputs))


# The mutations themselves.


def test_every_sample_is_cut_into_pieces_that_make_it_again() -> None:
    for path in samples():
        data = path.read_bytes()
        assert b"".join(family_of(data).split(data)) == data, path


@pytest.mark.parametrize(
    ("path", "family", "pieces"),
    [
        ("png/rgb.png", "png", 4),
        ("jpeg/baseline.jpg", "jpeg", 9),
        ("gif/animated.gif", "gif", 10),
        ("webp/animated.webp", "riff", 5),
        ("heic/plain.heic", "boxes", 3),
        ("jp2/lossless.jp2", "boxes", 4),
        ("icns/png.icns", "icns", 2),
    ],
)
def test_a_format_is_taken_apart_and_not_taken_for_one_lump(path: str, family: str, pieces: int) -> None:
    data = (PROJECT / "tests" / "corpus" / path).read_bytes()

    assert family_of(data).name == family
    assert len(family_of(data).split(data)) >= pieces


def test_a_sealed_chunk_has_its_length_and_checksum() -> None:
    (png,) = (family for family in FAMILIES if family.name == "png")

    sealed = png.sealed(b"\0\0\0\0tEXtwords" + bytes(4))

    assert sealed == b"\0\0\0\5tEXtwords" + struct.pack(">I", zlib.crc32(b"tEXtwords"))


def test_the_same_seed_makes_the_same_mutation_and_another_seed_another() -> None:
    data = (PROJECT / "tests" / "corpus" / "png" / "rgb.png").read_bytes()

    assert mutated(data, data, Random(1)) == mutated(data, data, Random(1))
    assert mutated(data, data, Random(1)) != mutated(data, data, Random(2))


@pytest.mark.skipif(importlib.util.find_spec("atheris") is not None, reason="atheris is installed")
def test_without_its_engine_the_command_says_so_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "1"], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert re.search("atheris is not there: its wheels are for CPython 3.11", done.stderr)


def test_a_target_that_there_is_not_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "1", "nothing"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "no such target: nothing; there are signatures" in done.stderr
