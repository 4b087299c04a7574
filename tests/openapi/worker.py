"""A whole worker for the tests of what is told of it: everything is on, and nothing leaves the machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import mmdb
from fetch.origin import Behaviour, Exchange, Origin, answer, page
from fetch.worker import Worker, running_worker

SITE = "site.example.com"
ADDRESS = "93.184.215.14"
"""The one address that may be dialled; it leads to the test's own site."""
PICTURE = Path(__file__).resolve().parents[1] / "corpus" / "jpeg" / "gps-exif.jpg"
HEAD = (
    '<meta property="og:title" content="A title"><meta property="og:image" content="/picture.jpg">'
    '<meta name="description" content="Words"><link rel="icon" href="/icon.png" sizes="16x16">'
    '<meta property="og:video" content="/film.mp4"><meta property="og:video:type" content="video/mp4">'
    '<link rel="alternate" type="application/json+oembed" href="/oembed">'
)
OEMBED = {"version": "1.0", "type": "video", "title": "A film", "author_name": "Somebody", "width": 320}

OWNER = "d8da6bf26964af9d7eed9e03e53415d37aa96045"


@contextmanager
def described_worker(folder: Path, **environment: object) -> Iterator[Worker]:
    """It knows one site, a network of Australia, and an owner of every ENS name."""
    database = folder / "facts.mmdb"
    place = {"country": {"iso_code": "AU"}, "location": {"latitude": -33.5, "time_zone": "Australia/Sydney"}}
    database.write_bytes(mmdb.database({"1.2.3.0/24": place}))
    others = ip_network("0.0.0.0/0").address_exclude(ip_network(ADDRESS))
    denied = ",".join(["[::]/0:*", *(f"{net}:*" for net in others)])
    site: dict[str, Behaviour] = {
        "/": answer(page(head=HEAD)),
        "/picture.jpg": answer(PICTURE.read_bytes(), media_type="image/jpeg", headers={"ETag": '"1"'}),
        "/node": _node,
        "/oembed": answer(json.dumps(OEMBED).encode(), media_type="application/json"),
    }
    with (
        Origin(site) as origin,
        running_worker(
            {(ADDRESS, port): ("127.0.0.1", origin.port) for port in (80, 443)},
            REMOTE_EGRESS_DENY=denied,
            REMOTE_IPIP_DB_PATH=database,
            REMOTE_ENS_RPC_URL=f"http://{SITE}/node",
            REMOTE_PROXY_KEYS="key",
            REMOTE_CAMO_KEY="test",
            REMOTE_SITE_PER_SECOND=100,
            REMOTE_SITE_BURST=100,
            **environment,
        ) as worker,
    ):
        worker.names.has(SITE, ADDRESS)
        yield worker


async def _node(exchange: Exchange) -> None:
    asked = json.loads(exchange.request.body)
    told = {"jsonrpc": "2.0", "id": asked["id"], "result": f"0x{OWNER.rjust(64, '0')}"}
    await exchange.send(answer(json.dumps(told).encode(), media_type="application/json"))
