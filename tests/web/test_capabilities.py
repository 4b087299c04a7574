"""`/capabilities`: what a client learns before it uploads."""

import re
from dataclasses import replace
from pathlib import Path

import mmdb
from web.serving import FORMATS, Service, ask, serving
from web.small_links import small_links
from web.small_network import small_network

from remote_worker.contract.formats import FormatName
from remote_worker.contract.limits import Limits
from remote_worker.jobs.settings import JobSettings
from remote_worker.jobs.submitting import Jobs
from remote_worker.web.jobs import JobUses


def request(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def capabilities(service: Service) -> dict:
    answer = ask(service, request("GET", "/capabilities"))
    assert answer.status == 200
    return answer.json


def test_it_tells_each_format_as_the_templates_found_it() -> None:
    with serving() as service:
        service.probe.formats |= {
            "webp": replace(FORMATS["webp"], word="off"),
            "jxl": replace(FORMATS["jxl"], word="its library is not installed"),
        }
        formats = capabilities(service)["formats"]

    assert list(formats) == sorted(FormatName)
    on = {"read": True, "reason": "ok", "written": True, "all_frames": False}
    none = {"read": False, "written": False, "all_frames": False}
    assert formats["png"] == {"mime": "image/png", **on}
    assert formats["gif"] == {"mime": "image/gif", **on, "all_frames": True}
    assert formats["psd"] == {"mime": "image/psd", **on, "written": False}
    assert formats["webp"] == {"mime": "image/webp", **none, "reason": "off"}
    assert formats["jxl"] == {"mime": "image/jxl", **none, "reason": "unavailable"}


def test_it_tells_which_operations_work_with_the_formats_that_are_on() -> None:
    with serving() as service:
        all_on = capabilities(service)["operations"]

    on_pictures = {"fit", "image", "info", "prepare_jpeg", "rescale_avatar"}
    assert {name for name in on_pictures if all_on[name]["available"]} == on_pictures
    assert all_on["fit"]["sources"] == ["file", "url"]
    assert all_on["fit"]["switches"]["format"] == ["jpeg", "png", "webp", "avif"]

    with serving() as service:
        service.probe.formats |= {name: replace(FORMATS[name], word="off") for name in ("png", "jpeg")}
        some = capabilities(service)["operations"]

    assert {name for name in on_pictures if some[name]["available"]} == {"fit", "image", "info"}
    assert some["fit"]["switches"]["format"] == ["webp", "avif"]


def test_it_tells_the_limits_in_effect() -> None:
    with serving(Limits(input_bytes=1234, frames=7), body_seconds=3.0) as service:
        limits = capabilities(service)["limits"]

    assert (limits["input_bytes"], limits["frames"], limits["body_seconds"]) == (1234, 7, 3.0)
    assert limits["pixels"] == 64_000_000


def test_it_tells_the_limits_of_links_and_texts_in_effect() -> None:
    with serving(links=small_links(previews_at_once=7, preview_seconds=2.5)) as service:
        limits = capabilities(service)["limits"]

    assert (limits["previews_at_once"], limits["preview_seconds"], limits["previews_seconds"]) == (7, 2.5, 30)
    assert (limits["fetched_image_bytes"], limits["text_bytes"]) == (2**20, 2**20)


def test_it_tells_every_operation_and_which_lack_a_setting(tmp_path: Path) -> None:
    database = tmp_path / "facts.mmdb"
    database.write_bytes(mmdb.database({"1.2.3.0/24": {"country": {"iso_code": "AU"}}}))
    network = small_network(database=str(database), rpc_url="https://node.example/")

    jobs = Jobs(None, None, JobSettings())
    with serving(links=small_links(), network=network, jobs=JobUses(jobs=jobs)) as service:
        every = capabilities(service)["operations"]
    with serving(links=small_links(proxy_keys=(), camo_key=""), proxies_images=False) as service:
        bare = capabilities(service)["operations"]

    assert sorted(every) == sorted(bare)
    assert [name for name in every if not every[name]["available"]] == []
    off = [name for name in bare if not bare[name]["available"]]
    assert off == ["camo", "ens", "geo", "ipip", "job", "proxy"]
    assert every["render_markdown"]["switches"] == {"proxy_images": ["0", "1"]}
    assert bare["render_markdown"]["switches"] == {"proxy_images": ["0"]}
    assert every["resolve"]["switches"]["type"][:3] == ["A", "AAAA", "CNAME"]


def test_each_path_that_it_tells_is_there() -> None:
    with serving() as service:
        operations = capabilities(service)["operations"]
        paths = [re.sub(r"\{\w+\}", "1", operation["path"]) for operation in operations.values()]
        allowed = [ask(service, request("OPTIONS", path)) for path in paths]

    assert len(paths) == 19
    assert [answer.status for answer in allowed] == [200] * 19


def test_it_tells_neither_process_ids_nor_library_versions() -> None:
    with serving() as service:
        told = capabilities(service)

    expected = ["accept", "formats", "limits", "operations", "presets", "status", "success", "version"]
    assert sorted(told) == expected
    assert told["version"].count(".") == 2


def test_while_no_template_has_told_it_is_unavailable() -> None:
    with serving() as service:
        service.probe.formats = {}
        answer = ask(service, request("GET", "/capabilities"))

    assert (answer.status, answer.json["code"]) == (503, "jail_unavailable")


def test_it_answers_head_and_options_like_the_other_reads() -> None:
    with serving() as service:
        assert ask(service, request("OPTIONS", "/capabilities")).headers["allow"] == "GET, HEAD, OPTIONS"
        assert ask(service, request("POST", "/capabilities", "Content-Length: 0")).status == 405
