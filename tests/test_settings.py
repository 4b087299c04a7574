"""Settings: what the environment may say, and how a bad one is told."""

import dataclasses

import pytest

from remote_worker import settings
from remote_worker.contract.limits import Limits
from remote_worker.fetch.settings import FetchSettings
from remote_worker.pool.settings import PoolSettings
from remote_worker.service.settings import CheckSettings, LinkSettings, NetworkSettings
from remote_worker.settings import BadSettings, FileSettings, Outside, Row, effective, read, shown
from remote_worker.telemetry import TelemetrySettings
from remote_worker.web.settings import WebSettings


def problem(**variables: str) -> str:
    """The one problem that these variables have."""
    with pytest.raises(BadSettings) as caught:
        read(variables)
    (only,) = caught.value.problems
    return str(only)


NAMED = {"REMOTE_UID": "w1"}  # Its default is random, so two readings would differ.


def test_an_empty_environment_gives_every_part_its_defaults() -> None:
    assert read(NAMED) == settings.Settings(
        web=WebSettings(uid="w1"),
        limits=Limits(),
        pool=PoolSettings(),
        fetch=FetchSettings(),
        links=LinkSettings(),
        network=NetworkSettings(),
        check=CheckSettings(),
        file=FileSettings(),
        telemetry=TelemetrySettings(),
        outside=Outside(),
    )


def test_the_default_limits_are_the_documented_ones() -> None:
    limits = read({}).limits

    assert limits.input_bytes == 31_457_280
    assert (limits.pixels, limits.side_pixels) == (64_000_000, 65_535)
    assert (limits.frames, limits.animation_pixels) == (512, 256_000_000)
    assert (limits.output_bytes, limits.memory_bytes) == (67_108_864, 1_073_741_824)
    assert (limits.decode_seconds, limits.cpu_seconds) == (10.0, 8)


def test_other_variables_are_not_read() -> None:
    others = {"PORT": "1", "UID": "0", "REGION": "x", "remote_port": "1", "PATH": "/bin"}

    assert read(NAMED | others) == read(NAMED)


@pytest.mark.parametrize("part", settings.PARTS)
def test_every_field_of_a_part_has_exactly_one_row(part: str) -> None:
    fields = sorted(field.name for field in dataclasses.fields(settings.PARTS[part]))

    assert sorted(row.field for row in settings.TABLE if row.part == part) == fields


def test_no_two_rows_share_a_variable() -> None:
    names = [row.name for row in settings.TABLE]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", settings.TABLE, ids=lambda row: row.name)
def test_every_default_is_taken_when_it_is_written_out(row: Row) -> None:
    text = dict(effective(read(NAMED)))[row.name]

    assert read(NAMED | {row.name: text}) == read(NAMED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("65536", 65_536),
        ("1048577", 1_048_577),
        ("100KiB", 102_400),
        ("30MiB", 31_457_280),
        ("1 GiB", 1_073_741_824),
    ],
)
def test_bytes_are_plain_or_carry_a_binary_unit(text: str, expected: int) -> None:
    assert read({"REMOTE_INPUT_BYTES": text}).limits.input_bytes == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "30MB", "30mib", "1.5MiB", "1e6", "1_000", "٣", "lots", "9" * 40]
)
def test_bytes_that_are_no_size_are_refused_with_what_would_do(text: str) -> None:
    told = problem(REMOTE_INPUT_BYTES=text)

    assert told.startswith("REMOTE_INPUT_BYTES must be bytes (`30MiB` and the like do) from 1 to 16GiB")
    assert repr(text) in told


@pytest.mark.parametrize("text", ["1MiB", "1.0", " x", "+1"])
def test_a_count_takes_no_unit_and_no_fraction(text: str) -> None:
    assert problem(REMOTE_FRAMES=text).startswith("REMOTE_FRAMES must be a whole number, 1 or more")


@pytest.mark.parametrize(("text", "expected"), [("2", 2.0), ("0.5", 0.5), ("3600", 3600.0)])
def test_seconds_may_have_a_fraction(text: str, expected: float) -> None:
    assert read({"REMOTE_DECODE_SECONDS": text}).limits.decode_seconds == expected


@pytest.mark.parametrize("text", ["0.09", "3601", "nan", "inf", "1e1", "10s"])
def test_seconds_out_of_range_are_refused_with_the_range(text: str) -> None:
    assert problem(REMOTE_DECODE_SECONDS=text).startswith(
        "REMOTE_DECODE_SECONDS must be seconds from 0.1 to 3600"
    )


@pytest.mark.parametrize(("text", "side"), [("65535", 65_535), ("1", 1)])
def test_the_longest_side_goes_up_to_what_formats_can_say(text: str, side: int) -> None:
    assert read({"REMOTE_SIDE_PIXELS": text}).limits.side_pixels == side


@pytest.mark.parametrize("text", ["65536", "0"])
def test_the_longest_side_stops_there(text: str) -> None:
    assert "from 1 to 65535" in problem(REMOTE_SIDE_PIXELS=text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("on", True), ("1", True), ("TRUE", True), ("yes", True), ("off", False), ("0", False), ("No", False)],
)
def test_a_switch_takes_the_usual_words(text: str, expected: bool) -> None:
    assert read({"REMOTE_JAIL": text}).pool.jail is expected


@pytest.mark.parametrize("text", ["", "2", "offf", "disabled"])
def test_a_switch_takes_no_other_word(text: str) -> None:
    assert problem(REMOTE_JAIL=text) == f"REMOTE_JAIL must be `on` or `off`, not {text!r}"


def test_an_unknown_variable_names_itself_and_its_nearest_neighbour() -> None:
    assert (
        problem(REMOTE_INPUT_BYTE="1")
        == "REMOTE_INPUT_BYTE is not a setting: did you mean REMOTE_INPUT_BYTES?"
    )


def test_an_unknown_variable_near_to_none_points_to_the_list() -> None:
    assert (
        problem(REMOTE_ZZZ="1")
        == "REMOTE_ZZZ is not a setting: `remote-worker settings` lists the ones there are"
    )


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        read({"REMOTE_FRAMES": "x", "REMOTE_PIXELS": "y", "REMOTE_PIXEL": "1"})

    assert [text.split()[0] for text in caught.value.problems] == [
        "REMOTE_FRAMES",
        "REMOTE_PIXEL",
        "REMOTE_PIXELS",
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_without_the_seal_loopback_is_allowed(host: str) -> None:
    assert read({"REMOTE_JAIL": "off", "REMOTE_HOST": host}).web.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "example.org", ""])
def test_without_the_seal_nothing_beyond_loopback_is_allowed(host: str) -> None:
    told = problem(REMOTE_JAIL="off", REMOTE_HOST=host, REMOTE_OPEN="1")

    assert told.startswith("REMOTE_JAIL=off is for debugging on loopback only")


def test_beyond_loopback_needs_a_word_that_it_is_open() -> None:
    assert "REMOTE_OPEN=1" in problem(REMOTE_HOST="0.0.0.0")
    assert read({"REMOTE_HOST": "0.0.0.0", "REMOTE_OPEN": "1"}).web.host == "0.0.0.0"


@pytest.mark.parametrize("text", ["0", "1", "65535"])
def test_a_port_is_sixteen_bits(text: str) -> None:
    assert read({"REMOTE_PORT": text}).web.port == int(text)


@pytest.mark.parametrize("text", ["-1", "65536", "http"])
def test_a_port_is_no_more_than_sixteen_bits(text: str) -> None:
    assert "from 0 to 65535" in problem(REMOTE_PORT=text)


def test_host_names_are_a_list_with_commas() -> None:
    assert read({"REMOTE_HOST_NAMES": " a.example, b.example ,"}).web.host_names == ("a.example", "b.example")


@pytest.mark.parametrize("name", ["REMOTE_PROXY_KEYS", "REMOTE_HOST_NAMES", "REMOTE_EGRESS_ALLOW"])
def test_a_list_of_commas_alone_was_to_hold_something(name: str) -> None:
    assert problem(**{name: " , ,"}).startswith(f"{name} must be a list")


def test_a_value_cannot_smuggle_in_a_line() -> None:
    assert problem(REMOTE_REGION="a\nSet-Cookie: x") == "REMOTE_REGION must be text, not 'a\\nSet-Cookie: x'"


def test_a_secret_is_masked_when_it_is_set_and_its_neighbour_is_shown() -> None:
    assert shown(Row("web", "region", "x", secret=True), "hunter2") == "(hidden)"
    assert shown(Row("web", "region", "x", secret=True), "") == ""
    assert shown(Row("web", "region", "x"), "hunter2") == "hunter2"


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ("webp, jpeg", "jpeg,webp"),
        ("-svg,-jxl", "jpeg,jp2,png,gif,bmp,tiff,webp,heic,avif,psd,icns,ico"),
        ("", "jpeg,jp2,png,gif,bmp,tiff,webp,heic,avif,psd,icns,ico,jxl,svg"),
    ],
)
def test_formats_are_named_one_by_one_or_left_out_one_by_one(given: str, on: str) -> None:
    told = dict(settings.effective(read({"REMOTE_FORMATS": given})))

    assert told["REMOTE_FORMATS"] == on
    assert read({"REMOTE_FORMATS": on}).pool.formats == tuple(on.split(","))


@pytest.mark.parametrize("given", ["jpeg,-png", "jpg", "-pgn"])
def test_a_format_that_does_not_exist_stops_the_start_with_those_that_do(given: str) -> None:
    with pytest.raises(BadSettings) as bad:
        read({"REMOTE_FORMATS": given})

    assert bad.value.problems[0].startswith("REMOTE_FORMATS must be a list with commas, `jpeg,png` for these")
    assert "out of jpeg, jp2, png" in bad.value.problems[0]
    assert bad.value.problems[0].endswith(f"not {given!r}")


def test_trusted_proxies_are_addresses_and_networks() -> None:
    given = "10.0.0.0/8, 192.0.2.1, 2001:db8::/32"

    proxies = read({"REMOTE_TRUSTED_PROXIES": given}).web.trusted_proxies

    assert [str(proxy) for proxy in proxies] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
    assert read({}).web.trusted_proxies == ()


@pytest.mark.parametrize(
    "given",
    ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1, *", "10.0.0.0-10.0.0.9", "::ffff:10.0.0.1"],
)
def test_what_is_no_proxys_address_stops_the_start(given: str) -> None:
    with pytest.raises(BadSettings, match="REMOTE_TRUSTED_PROXIES must be a list of addresses and networks"):
        read({"REMOTE_TRUSTED_PROXIES": given})
