"""`/capabilities`: what a client learns before it uploads."""

from dataclasses import replace

from web.serving import FORMATS, Service, ask, serving

from remote_worker.contract.formats import FormatName
from remote_worker.contract.limits import Limits


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

    assert [all_on[name]["available"] for name in sorted(all_on)] == [True] * 4
    assert all_on["fit"]["switches"]["format"] == ["jpeg", "png", "webp", "avif"]

    with serving() as service:
        service.probe.formats |= {name: replace(FORMATS[name], word="off") for name in ("png", "jpeg")}
        some = capabilities(service)["operations"]

    available = {name: operation["available"] for name, operation in some.items()}
    assert available == {"fit": True, "info": True, "prepare_jpeg": False, "rescale_avatar": False}
    assert some["fit"]["switches"]["format"] == ["webp", "avif"]


def test_it_tells_the_limits_in_effect() -> None:
    with serving(Limits(input_bytes=1234, frames=7), body_seconds=3.0) as service:
        limits = capabilities(service)["limits"]

    assert (limits["input_bytes"], limits["frames"], limits["body_seconds"]) == (1234, 7, 3.0)
    assert limits["pixels"] == 64_000_000


def test_it_tells_neither_process_ids_nor_library_versions() -> None:
    with serving() as service:
        told = capabilities(service)

    expected = ["accept", "formats", "limits", "operations", "status", "success", "version"]
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
