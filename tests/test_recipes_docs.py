"""docs/recipes.md says what the code does: presets are taken, programs run, words are those of the code."""

import http.client
import json
import re
import threading
import tomllib
from pathlib import Path
from typing import Any

from remote_worker.contract.messages import FACTS, GRAVITIES, MODES, OUTPUT_FORMATS, Output
from remote_worker.service import presets
from remote_worker.settings import TABLE
from remote_worker.web.answers import pictures_in_parts
from remote_worker.web.budget import Budget

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "recipes.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def program(number: int) -> dict[str, Any]:
    """What a program of the page defines."""
    names: dict[str, Any] = {"__name__": "page"}
    exec(blocks("python")[number], names)
    return names


def test_its_presets_are_taken() -> None:
    (text,) = blocks("toml")

    assert list(presets.read(tomllib.loads(text)["presets"])) == ["card", "thumb"]


def test_it_names_every_member_of_an_output_and_every_word_of_them() -> None:
    table = PAGE.partition("| member of an output |")[2].partition("\n\n")[0]
    members = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)
    }

    assert members == set(Output.__dataclass_fields__)
    for word in (*MODES, *GRAVITIES, *OUTPUT_FORMATS):
        assert f"`{word}`" in table
    assert all(f"`{fact}`" in PAGE for fact in FACTS)


def test_every_setting_that_it_names_is_there() -> None:
    named = set(re.findall(r"REMOTE_[A-Z_]+[A-Z]", PAGE))

    assert named <= {row.name for row in TABLE}
    assert {row.name for row in TABLE if "external_check" in row.field} <= named


def test_its_reader_of_mixed_answers_reads_ours() -> None:
    parts = {"small": (memoryview(b"\r\n--"), "webp"), "large": (memoryview(bytes(range(256))), "png")}
    answer = pictures_in_parts({}, parts, Budget(2**20).share("c"))
    body = b"".join(answer._parts)

    found = program(0)["pictures"](answer.headers["content-type"], body)

    assert found == {"small": b"\r\n--", "large": bytes(range(256))}


def test_its_checker_says_no_to_what_is_near_to_a_known_hash_and_yes_to_the_rest() -> None:
    verdict = program(1)["verdict"]

    assert verdict({"phash": "c3a5963cc35aa569"}) == {"allow": False, "reason": "known"}
    assert verdict({"phash": "c3a5963cc35aa556"})["allow"] is False
    assert verdict({"phash": "c3a5963cc35aa516"}) == {"allow": True}


def test_its_checker_answers_over_http() -> None:
    with program(1)["serve"](0) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        connection = http.client.HTTPConnection(*server.server_address, timeout=10)
        connection.request("POST", "/check", body=b'{"phash": "c3a5963cc35aa569"}')
        told = json.loads(connection.getresponse().read())
        connection.close()
        thread.join(10)

    assert told == {"allow": False, "reason": "known"}


def test_its_answers_are_json() -> None:
    assert json.loads(blocks("json")[0].replace("…", ""))["success"] is True
