"""What is told of an address: out of databases that the test writes, and when their file changes."""

import asyncio
import logging
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import maxminddb
import mmdb
import pytest
from mmdb import IPIP

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.service.geo import BadDatabase, Facts, Geo

GEOLITE_CITY = {
    "city": {"geoname_id": 2950159, "names": {"de": "Berlin!", "en": "Berlin"}},
    "continent": {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}},
    "country": {"geoname_id": 2921044, "iso_code": "DE", "names": {"en": "Germany"}},
    "location": {
        "accuracy_radius": 100,
        "latitude": 52.5241,
        "longitude": -13.4093,
        "time_zone": "Europe/Berlin",
    },
    "postal": {"code": "10115"},
    "registered_country": {"iso_code": "FR", "names": {"en": "France"}},
    "subdivisions": [{"iso_code": "BE", "names": {"en": "State of Berlin"}}],
}
"""As the documentation of GeoLite2 City shows its records."""
GEOLITE_ASN = {"autonomous_system_number": 15169, "autonomous_system_organization": "Google LLC"}
ENTERPRISE = {
    "traits": {
        "autonomous_system_number": 209,
        "autonomous_system_organization": "CENTURYLINK",
        "isp": "Fairpoint Communications",
        "organization": "Fairpoint",
    }
}
IPINFO_LITE = {
    "asn": "AS15169",
    "as_name": "Google LLC",
    "as_domain": "google.com",
    "continent": "North America",
    "continent_code": "NA",
    "country": "United States",
    "country_code": "US",
}
IPINFO_LOCATION = {
    "city": "Mountain View",
    "region": "California",
    "country": "US",
    "loc": "37.4056,-122.0775",
    "org": "AS15169 Google LLC",
    "postal": "94043",
    "timezone": "America/Los_Angeles",
}
SHANGHAI = {
    "continent_code": "AP",
    "country": "中国",
    "country_code": "CN",
    "region": "上海",
    "city": "上海",
    "latitude": 31.231706,
    "longitude": 121.472644,
    "timezone": "Asia/Shanghai",
    "isp": "电信",
    "utc_offset": "UTC+8",
    "calling_code": "86",
    "division_code": "310000",
}
IPIP_OF_ITS_OWN_NAMES = {
    "country_name": "中国",
    "region_name": "上海",
    "city_name": "上海",
    "owner_domain": "example.com",
    "isp_domain": "电信",
    "latitude": "31.231706",
    "longitude": "121.472644",
    "timezone": "Asia/Shanghai",
    "utc_offset": "UTC+8",
    "china_admin_code": "310000",
    "idd_code": "86",
    "country_code": "CN",
    "continent_code": "AP",
}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Fill the clock's place."""
        return self.now


def facts_of(path: Path, address: str = "203.0.114.7") -> Facts:
    return asyncio.run(Geo(str(path)).look_up(ip_address(address)))


def failure_of(geo: Geo, address: str) -> tuple[FailureCode, str]:
    with pytest.raises(WorkFailed) as caught:
        asyncio.run(geo.look_up(ip_address(address)))
    return caught.value.code, caught.value.detail


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Put a database with these records at a path, as a new file."""

    def put(records: dict[str, Any], **options: Any) -> Path:
        path, beside = tmp_path / "facts.mmdb", tmp_path / "new.mmdb"
        beside.write_bytes(mmdb.database(records, **options))
        beside.replace(path)
        return path

    return put


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize("version", [4, 6])
def test_the_databases_of_these_tests_are_what_other_readers_take_for_one(
    write: Any, record_size: int, version: int
) -> None:
    path = write({"1.2.3.0/24": {"a": ["b", 1, 2.5, True]}}, record_size=record_size, version=version)

    # In C, and not the code that reads for us.
    with maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT) as reader:
        assert reader.get("1.2.3.4") == {"a": ["b", 1, 2.5, True]}
        assert reader.get("1.2.4.4") is None


def test_a_data_field_is_written_as_the_specification_shows_it() -> None:
    # "A map with one pair, its key a string of two bytes": control bytes 111_00001 and 010_00010.
    assert mmdb.encoded({"en": "Foo"}).hex() == "e142656e43466f6f"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            GEOLITE_CITY,
            {
                "continent": "Europe",
                "continent_code": "EU",
                "country": "Germany",
                "country_code": "DE",
                "region": "State of Berlin",
                "region_code": "BE",
                "city": "Berlin",
                "postal_code": "10115",
                "latitude": 52.5241,
                "longitude": -13.4093,
                "timezone": "Europe/Berlin",
            },
        ),
        (
            GEOLITE_ASN,
            {
                "asn": 15169,
                "organization": "Google LLC",
            },
        ),
        (
            ENTERPRISE,
            {
                "asn": 209,
                "organization": "Fairpoint",
                "isp": "Fairpoint Communications",
            },
        ),
        (
            IPINFO_LITE,
            {
                "continent": "North America",
                "continent_code": "NA",
                "country": "United States",
                "country_code": "US",
                "asn": 15169,
                "organization": "Google LLC",
            },
        ),
        (
            IPINFO_LOCATION,
            {
                "country_code": "US",
                "region": "California",
                "city": "Mountain View",
                "postal_code": "94043",
                "latitude": 37.4056,
                "longitude": -122.0775,
                "timezone": "America/Los_Angeles",
                "asn": 15169,
                "organization": "Google LLC",
            },
        ),
        (IPIP, SHANGHAI),
        (IPIP_OF_ITS_OWN_NAMES, {**SHANGHAI, "organization": "example.com"}),
        ({}, {}),
    ],
    ids=[
        *("geolite city", "geolite asn", "enterprise", "ipinfo lite", "ipinfo location"),
        *("ipip", "ipip of its own names", "empty"),
    ],
)
def test_records_of_every_make_are_read(write: Any, record: dict[str, Any], told: dict[str, Any]) -> None:
    facts = facts_of(write({"203.0.114.0/24": record}))

    assert facts == Facts(address=ip_address("203.0.114.7"), network="203.0.114.0/24", **told)


@pytest.mark.parametrize(
    ("record", "latitude", "asn"),
    [
        ({"latitude": 90.0, "asn": 4294967295}, 90.0, 4294967295),
        ({"latitude": 90.1, "asn": 4294967296}, None, None),
        ({"latitude": "-90", "asn": "AS1"}, -90.0, 1),
        ({"latitude": "nan", "asn": "AS0"}, None, None),
        ({"latitude": "north", "asn": "ASX"}, None, None),
        ({"latitude": True, "asn": True}, None, None),
        ({"latitude": 0.0, "asn": 0}, 0.0, None),
        ({"latitude": [], "asn": {}}, None, None),
    ],
)
def test_numbers_out_of_range_are_not_told(
    write: Any, record: dict[str, Any], latitude: float | None, asn: int | None
) -> None:
    facts = facts_of(write({"203.0.114.0/24": record}))

    assert (facts.latitude, facts.asn) == (latitude, asn)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2a00:1:2::1", "2a00:1::/32"),
        ("203.0.114.9", "203.0.114.0/25"),
        ("203.0.114.200", "203.0.114.128/25"),
        ("::ffff:203.0.114.9", "203.0.114.0/25"),
        ("64:ff9b::203.0.114.9", "203.0.114.0/25"),
    ],
)
def test_the_network_is_that_of_the_record(write: Any, address: str, network: str) -> None:
    path = write({"2a00:1::/32": {}, "203.0.114.0/25": {}, "203.0.114.128/25": {}})

    assert facts_of(path, address).network == network


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_special_ranges_are_told_whatever_a_database_says_of_them(write: Any, address: str) -> None:
    path = write({"127.0.0.0/8": IPIP, "::/128": IPIP, "::1/128": IPIP})

    for geo in (Geo(str(path)), Geo("")):
        facts = asyncio.run(geo.look_up(ip_address(address)))
        assert (facts.special, facts.country) == ("loopback", "")


def test_who_has_no_database_is_told_so() -> None:
    code, detail = failure_of(Geo(""), "8.8.8.8")

    assert code is FailureCode.NO_IP_FACTS
    assert detail.startswith("IP info not found")
    assert "REMOTE_IPIP_DB_PATH" in detail


def test_an_address_outside_the_database_has_no_facts(write: Any) -> None:
    geo = Geo(str(write({"203.0.114.0/24": IPIP})))

    assert failure_of(geo, "203.0.115.0") == (FailureCode.NO_IP_FACTS, "IP info not found")


def test_a_database_of_ipv4_has_no_facts_of_ipv6(write: Any) -> None:
    geo = Geo(str(write({"203.0.114.0/24": IPIP}, version=4)))

    assert failure_of(geo, "2a00::1")[0] is FailureCode.NO_IP_FACTS
    assert asyncio.run(geo.look_up(ip_address("203.0.114.1"))).isp == "电信"


def test_a_database_that_is_damaged_inside_ends_no_process(
    write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = write({"203.0.114.0/24": {"city": "Berlin"}})
    data = path.read_bytes()
    # A pointer to nowhere in place of the city's name.
    path.write_bytes(data.replace(b"\x46Berlin", b"\x3f\xff\xff\xff\xff\xff\xff"))

    with caplog.at_level(logging.ERROR, "remote_worker"):
        code, _ = failure_of(Geo(str(path)), "203.0.114.1")

    assert code is FailureCode.NO_IP_FACTS
    assert [record.message for record in caplog.records] == ["database_failed"]


@pytest.mark.parametrize("content", [None, b"", b"\xab\xcd\xefMaxMind.com", b"no database" * 100])
def test_a_start_needs_the_file_and_a_database_in_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "facts.mmdb"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadDatabase):
        Geo(str(path))


def test_a_new_file_is_read_within_a_second_and_not_before(write: Any) -> None:
    clock = Clock()
    geo = Geo(str(write({"203.0.114.0/24": {"city": "Old"}})), clock=clock)
    write({"203.0.114.0/24": {"city": "New"}})
    address = ip_address("203.0.114.1")

    clock.now += 0.99
    before = asyncio.run(geo.look_up(address))
    clock.now += 0.01
    after = asyncio.run(geo.look_up(address))

    assert (before.city, after.city) == ("Old", "New")


@pytest.mark.parametrize("is_replaced", [True, False], ids=["another file", "written over"])
def test_a_broken_file_keeps_the_former_one_and_is_complained_of_once(
    write: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    clock = Clock()
    path = write({"203.0.114.0/24": {"city": "Old"}})
    geo = Geo(str(path), clock=clock)
    if is_replaced:
        (tmp_path / "broken").write_bytes(b"broken")
        (tmp_path / "broken").replace(path)
    else:
        path.write_bytes(b"broken")  # What is mapped of it would be gone.

    with caplog.at_level(logging.INFO, "remote_worker"):
        for _ in range(3):
            clock.now += 1
            assert asyncio.run(geo.look_up(ip_address("203.0.114.1"))).city == "Old"

    assert [record.message for record in caplog.records] == ["database_failed"]


def test_a_file_that_is_gone_keeps_the_facts_until_it_is_there_again(
    write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    path = write({"203.0.114.0/24": {"city": "Old"}})
    geo = Geo(str(path), clock=clock)
    path.unlink()
    address = ip_address("203.0.114.1")

    with caplog.at_level(logging.INFO, "remote_worker"):
        for _ in range(2):
            clock.now += 1
            assert asyncio.run(geo.look_up(address)).city == "Old"
        write({"203.0.114.0/24": {"city": "New"}})
        clock.now += 1
        assert asyncio.run(geo.look_up(address)).city == "New"

    assert [record.message for record in caplog.records] == ["database_failed", "database_read"]


def test_a_file_that_does_not_change_is_not_read_again(write: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    path = write({"203.0.114.0/24": {"city": "Old"}})
    geo = Geo(str(path), clock=clock)

    with caplog.at_level(logging.INFO, "remote_worker"):
        clock.now += 10
        asyncio.run(geo.look_up(ip_address("203.0.114.1")))
        assert caplog.records == []
        os.utime(path, ns=(1, 1))
        clock.now += 10
        asyncio.run(geo.look_up(ip_address("203.0.114.1")))

    assert [record.message for record in caplog.records] == ["database_read"]
