"""Limits of what a client sends, tried through the whole service: HTTP, pool and sealed children."""

import asyncio
import io
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from PIL import Image
from web.serving import BOUNDARY, Answer, Reader, form, part, post, serving
from whole_service import whole_service

from remote_worker.contract.control import Hello
from remote_worker.contract.limits import MIB, Limits
from remote_worker.contract.messages import Fit
from remote_worker.contract.signatures import Template
from remote_worker.decoder import child, job
from remote_worker.pool.settings import PoolSettings
from remote_worker.pool.template import TemplateFailed, TemplateProcess
from remote_worker.web.server import Address

LIMITS = Limits(
    input_bytes=2 * MIB,
    pixels=10_000,
    side_pixels=200,
    frames=4,
    animation_pixels=16_000,
    output_bytes=29_500,
    memory_bytes=128 * MIB,
)
LARGE = Limits(memory_bytes=128 * MIB)
ONE_CHILD = PoolSettings(children=1, ready=1)


@pytest.fixture(scope="module")
def small() -> Iterator[Address]:
    with whole_service(LIMITS, ONE_CHILD) as address:
        yield address


@pytest.fixture(scope="module")
def large() -> Iterator[Address]:
    with whole_service(LARGE, ONE_CHILD) as address:
        yield address


def ask(address: Address, path: str, data: bytes) -> str:
    """The failure's code, or `ok`."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(post(path, form(data)))
        answer = Reader(connection).answer()
    return verdict(answer)


def verdict(answer: Answer) -> str:
    return "ok" if answer.status == 200 else f"{answer.status} {answer.json['code']}"


def still(width: int, height: int, kind: str = "PNG", mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind)
    return file.getvalue()


def noise(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(2).randbytes(3 * width * height)).save(file, "BMP")
    return file.getvalue()


def film(frames: int, width: int, height: int) -> bytes:
    pictures = [Image.new("L", (width, height), 20 * index) for index in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=50)
    return file.getvalue()


@pytest.mark.parametrize("path", ["/images/fit/50", "/images/rescale_avatar"])
def test_a_picture_has_so_many_pixels_and_not_one_row_more(small: Address, path: str) -> None:
    assert ask(small, path, still(100, 100)) == "ok"
    assert ask(small, path, still(100, 101)) == "422 too_many_pixels"


def test_a_side_is_so_long_and_not_one_pixel_longer(small: Address) -> None:
    assert ask(small, "/images/fit/50", still(200, 10)) == "ok"
    assert ask(small, "/images/fit/50", still(201, 10)) == "422 too_many_pixels"


def test_an_animation_has_so_many_frames_and_not_one_more(small: Address) -> None:
    assert ask(small, "/images/fit/50?animated=1", film(4, 10, 10)) == "ok"
    assert ask(small, "/images/fit/50?animated=1", film(5, 10, 10)) == "422 too_many_frames"
    assert ask(small, "/images/fit/50", film(5, 10, 10)) == "ok"  # only one of them is decoded


def test_an_animation_has_so_many_pixels_in_all(small: Address) -> None:
    assert ask(small, "/images/rescale_avatar?animated=1", film(4, 80, 50)) == "ok"
    assert ask(small, "/images/rescale_avatar?animated=1", film(4, 80, 51)) == "422 too_many_pixels"


def test_outputs_that_fit_are_answered_and_larger_ones_are_not(small: Address) -> None:
    # Noise is 3 bytes a pixel in PNG too.
    assert ask(small, "/images/fit/200?format=png", noise(100, 95)) == "ok"
    assert ask(small, "/images/fit/200?format=png", noise(100, 100)) == "422 output_too_large"


def test_a_decode_has_memory_for_some_megapixels_and_not_for_many(large: Address) -> None:
    assert ask(large, "/images/fit/50", still(2000, 2000, mode="RGBA")) == "ok"
    assert ask(large, "/images/fit/50", still(7000, 7000, mode="RGBA")) == "422 too_much_memory"


def test_a_reply_is_as_long_as_the_limit_and_not_one_byte_longer() -> None:
    data, task = noise(60, 50), Fit(width=60, height=50, format="png")
    body_bytes = reply_bytes(data, task, Limits().output_bytes)

    try:
        assert reply_bytes(data, task, body_bytes) == body_bytes
        with pytest.raises(job.WorkFailed) as failed:
            reply_bytes(data, task, body_bytes - 1)
    finally:
        child.prepare(Template.RASTER, Limits(), job._allowed)
    assert failed.value.code == "output_too_large"


def reply_bytes(data: bytes, task: Fit, output_bytes: int) -> int:
    """What a child would write, in this process."""
    child.prepare(Template.RASTER, Limits(output_bytes=output_bytes), job._allowed)
    input_fd, output_fd = os.memfd_create("input"), os.memfd_create("output")
    try:
        os.write(input_fd, data)
        return child.work(task, input_fd, output_fd)
    finally:
        os.close(input_fd)
        os.close(output_fd)


def test_a_boundary_has_so_many_letters_and_not_one_more() -> None:
    def request(boundary: bytes) -> bytes:
        body = form(b"data").replace(BOUNDARY.encode(), boundary)
        return post("/images/info", body).replace(f"boundary={BOUNDARY}".encode(), b"boundary=" + boundary)

    with serving() as service:
        verdicts = [exchange(service.address, request(b"b" * count)) for count in (200, 201)]

    assert verdicts == ["ok", "400 bad_request"]


def test_a_body_is_so_much_longer_than_its_file_and_not_one_byte_more() -> None:
    """The other parts and the heads may take a mebibyte beside a file of the limit."""
    file = b"x" * 1000
    most = len(file) + MIB
    field = len(part(b"", head='form-data; name="note"')) + len(form(file))

    def request(length: int) -> bytes:
        return post("/images/info", part(b"x" * (length - field), head='form-data; name="note"') + form(file))

    with serving(Limits(input_bytes=len(file))) as service:
        verdicts = [exchange(service.address, request(length)) for length in (most, most + 1)]

    assert verdicts == ["ok", "413 too_large"]


def exchange(address: Address, request: bytes) -> str:
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(request)
        return verdict(Reader(connection).answer())


def test_an_answer_that_leaves_too_slowly_is_cut_off() -> None:
    """That one which is read as it comes arrives whole is shown in tests/web/test_connections.py."""
    size = 40_000_000
    with serving(write_idle_seconds=1, write_seconds=0.5) as service, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(service.address)
        connection.sendall(post("/images/fit/1", form(b"large:%d" % size)))
        received = 0
        try:
            while count := len(connection.recv(10)):
                received += count
        except ConnectionError:
            pass

    assert 0 < received < size


def test_a_template_that_is_not_ready_in_its_time_is_given_up() -> None:
    hello = Hello(template=Template.SVG, limits=asdict(Limits()))

    async def start(seconds: float) -> None:
        template = await TemplateProcess.start(hello, seconds=seconds)
        template.close()

    asyncio.run(start(30))
    with pytest.raises(TemplateFailed, match=r"not ready in 0\.01 s"):
        asyncio.run(start(0.01))
