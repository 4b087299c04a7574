"""Content codings: what is taken off, and what a lie or a bomb ends in."""

import gzip
import random
import subprocess
import sys
import zlib

import pytest
from fetch.origin import Origin, answer, endless, page
from fetch.standins import World

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import Purpose
from remote_worker.fetch.process import coding

RANDOM = random.Random(7).randbytes(100_000).hex().encode()
BODY = b"no head at all, and so read to its end " + RANDOM


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("identity, gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
        ("", BODY),
        pytest.param("gzip", gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]), id="71-two-members"),
        pytest.param("gzip", gzip.compress(BODY) + bytes(1000), id="71-zeros-behind"),
    ],
)
def test_one_layer_is_taken_off(name: str, data: bytes) -> None:
    with Origin({"/": answer(data, headers={"Content-Encoding": name})}) as origin:
        assert World({"h.test": origin}).read("http://h.test/")[1] == BODY


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_pieces_of_any_size_unpack_to_the_same(name: str, size: int) -> None:
    packed = gzip.compress(BODY) if name == "gzip" else raw_deflate(BODY)
    unpacker = coding.Unpacker(name)
    pieces: list[bytes] = []
    for at in range(0, len(packed), size):
        pieces += unpacker.unpack(packed[at : at + size])
    unpacker.end()

    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= coding.STEP_BYTES


@pytest.mark.parametrize("step", [8 * 1024, 24 * 1024, 40 * 1024])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_nothing_is_lost_where_a_step_ends(step: int, beside: int) -> None:
    body = bytes(number % 251 for number in range(step + beside))
    unpacker = coding.Unpacker("gzip")

    assert b"".join(unpacker.unpack(gzip.compress(body))) == body
    unpacker.end()


@pytest.mark.parametrize("size", [8 * 1024, 8 * 1024 + 1, 24 * 1024])
def test_a_member_may_end_where_a_step_and_a_piece_do(size: int) -> None:
    first = bytes(number % 251 for number in range(size))
    unpacker = coding.Unpacker("gzip")

    assert b"".join(unpacker.unpack(gzip.compress(first))) == first
    assert b"".join(unpacker.unpack(gzip.compress(b"second"))) == b"second"
    unpacker.end()


PACKED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("gzip, gzip", gzip.compress(PACKED), id="71-two-layers"),
        pytest.param("br", b"\x0b\x02\x80abc\x03", id="71-br"),
        pytest.param("zstd", b"\x28\xb5\x2f\xfd", id="71-zstd"),
        pytest.param("gzip", BODY, id="72-plain"),
        pytest.param("deflate", BODY, id="72-plain-deflate"),
        pytest.param("gzip", PACKED[:-1], id="72-truncated-by-one"),
        pytest.param("gzip", PACKED[: len(PACKED) // 2], id="72-half"),
        pytest.param("gzip", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], id="72-checksum"),
        pytest.param("gzip", PACKED + b"garbage", id="72-behind-the-end"),
        pytest.param("gzip", PACKED + PACKED[:-9], id="72-second-member-truncated"),
        pytest.param("deflate", zlib.compress(BODY)[:-5], id="72-deflate-truncated"),
        pytest.param("deflate", b"\x78", id="72-one-byte"),
    ],
)
def test_a_coding_that_does_not_hold_is_told(name: str, data: bytes) -> None:
    with Origin({"/": answer(data, headers={"Content-Encoding": name})}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert failed.code is FailureCode.BAD_ENCODING


@pytest.mark.parametrize(
    ("members", "is_taken"), [(coding.MOST_MEMBERS, True), (coding.MOST_MEMBERS + 1, False)]
)
def test_a_body_has_so_many_members_and_not_one_more(members: int, is_taken: bool) -> None:
    data = gzip.compress(b"a") * members
    with Origin({"/": answer(data, headers={"Content-Encoding": "gzip"})}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            assert world.read("http://h.test/")[1] == b"a" * members
        else:
            assert world.failure("http://h.test/").code is FailureCode.BAD_ENCODING


NOTHING = b"\0\0\0\xff\xff"
"""A block of deflate without a byte in it."""


@pytest.mark.parametrize(
    ("name", "begin", "piece"),
    [
        pytest.param("deflate", b"", NOTHING * 10_000, id="72-empty-blocks"),
        pytest.param("gzip", gzip.compress(b"a"), bytes(50_000), id="72-zeros-behind-the-end"),
        pytest.param("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\3", b"n" * 50_000, id="72-name-without-end"),
    ],
)
@pytest.mark.parametrize("purpose", [Purpose.PAGE, Purpose.OEMBED])
def test_what_unpacks_to_nothing_is_left(name: str, begin: bytes, piece: bytes, purpose: Purpose) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\n\r\n".encode()
    with Origin({"/": endless(head + begin, piece)}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/", purpose)

        assert (failed.code, failed.detail) == (FailureCode.BAD_ENCODING, "empty")
        assert origin.wait_closed()


@pytest.mark.parametrize(("more", "is_taken"), [(0, True), (1, False)])
def test_a_packed_body_has_so_much_beside_what_it_holds(more: int, is_taken: bool) -> None:
    member = gzip.compress(b"a" * 1000)
    data = member + bytes(coding.MOST_EMPTY_BYTES + 2000 - len(member) + more)
    with Origin({"/": answer(data, headers={"Content-Encoding": "gzip"})}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            assert world.read("http://h.test/")[1] == b"a" * 1000
        else:
            assert world.failure("http://h.test/").code is FailureCode.BAD_ENCODING


def packed_to(ratio: float) -> bytes:
    """About a megabyte that packs so well: `ratio` bytes for each packed one."""
    wanted, size = int(2**20 / ratio), 8000
    for _ in range(5):
        packed = gzip.compress(random.Random(3).randbytes(size) + bytes(2**20 - size))
        size += wanted - len(packed)
    assert abs(2**20 / len(packed) / ratio - 1) < 0.02
    return packed


@pytest.mark.parametrize(("ratio", "is_taken"), [(95, True), (105, False)])
def test_what_unpacks_to_a_hundredfold_is_too_large(ratio: float, is_taken: bool) -> None:
    data = answer(packed_to(ratio), media_type="image/png", headers={"Content-Encoding": "gzip"})
    with Origin({"/": data}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            assert len(world.read("http://h.test/", Purpose.IMAGE)[1]) == 2**20
        else:
            failed = world.failure("http://h.test/", Purpose.IMAGE)
            assert (failed.code, failed.detail) == (FailureCode.TOO_LARGE, "ratio")


@pytest.mark.parametrize(
    ("size", "is_taken"), [(coding.RATIO_BYTES, True), (coding.RATIO_BYTES + 20_000, False)]
)
def test_a_short_body_may_pack_better(size: int, is_taken: bool) -> None:
    data = answer(gzip.compress(b" " * size), headers={"Content-Encoding": "gzip"})
    with Origin({"/": data}) as origin:
        world = World({"h.test": origin})
        if is_taken:
            assert len(world.read("http://h.test/")[1]) == size
        else:
            assert world.failure("http://h.test/").detail == "ratio"


def test_a_head_at_the_beginning_of_a_bomb_is_all_that_is_unpacked() -> None:
    bomb = gzip.compress(page() + bytes(20_000_000))
    with Origin({"/": answer(bomb, headers={"Content-Encoding": "gzip"})}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert body.endswith(b"</head>")
        assert fetched.is_cut


GROWTH = """
import gzip, resource, sys, zlib
from fetch.origin import Origin, answer, endless
from fetch.standins import World
from remote_worker.contract.links import Purpose

packer = zlib.compressobj(9, wbits=-15)
block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
gibibyte = block * 64

def packed(name, data, kind="image/png"):
    return answer(data, media_type=kind, headers={"Content-Encoding": name})

HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\n"
gz = gzip.compress(b"")[:10] + gibibyte
layered = gzip.compress(gz)
web = {
    "/gzip": packed("gzip", gz),
    "/page": packed("gzip", gz, "text/html"),
    "/deflate": packed("deflate", b"\\x78\\xda" + gibibyte),
    "/raw": packed("deflate", gibibyte),
    "/layers": packed("gzip, gzip", layered),
    "/layer": packed("gzip", layered),
    "/members": packed("gzip", gzip.compress(bytes(60_000)) * 20_000),
    "/br": packed("br", gz),
    "/endless": endless(HEAD + b"\\r\\n", b"x" * 65536),
    "/chunks": endless(HEAD + b"Transfer-Encoding: chunked\\r\\n\\r\\n", b"1\\r\\nx\\r\\n" * 10_000),
    "/fields": endless(HEAD, b"a: b\\r\\n" * 10_000),
    "/field": endless(HEAD + b"a: ", b"b" * 65536),
    "/interim": endless(b"", b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 1000),
    "/trailers": endless(HEAD + b"Transfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n", b"a: b\\r\\n" * 10_000),
}
with Origin(web) as origin:
    world = World({"h.test": origin})
    for purpose in (Purpose.PAGE, Purpose.OEMBED):
        world.failure("http://h.test/nothing", purpose)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in web:
        for purpose in (Purpose.PAGE, Purpose.IMAGE):
            try:
                world.fetch("http://h.test" + path, purpose).body.close()
            except Exception as failed:
                print(path, purpose.value, failed.code.value, failed.detail)
            else:
                print(path, purpose.value, "fetched")
    print("grown", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_hostile_answer_takes_twenty_megabytes() -> None:
    """Row 71. Both ends in one process: what the server holds counts too, and is there before."""
    run = subprocess.run(
        [sys.executable, "-c", GROWTH],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, last = run.stdout.splitlines()

    assert int(last.removeprefix("grown ")) * 1024 < 20_000_000
    assert {line for line in lines if line.endswith("fetched")} == {"/endless page fetched"}
    assert "/gzip image too_large ratio" in lines
    assert "/page page too_large ratio" in lines
    assert "/layers image bad_encoding layers" in lines
