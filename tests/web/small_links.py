"""Links over a door and a reader that answer as they are told."""

from typing import Any

from service.doors import Door, Sight

from remote_worker.service.cache import Cache
from remote_worker.service.previews import Previews
from remote_worker.service.settings import LinkSettings
from remote_worker.service.signing import Camo, Signer
from remote_worker.web.links import Links

NOW = 1_790_000_000.0
VIA = "remote-worker-5f2a"


def small_links(
    door: Door | None = None, sight: Sight | None = None, cache: Cache | None = None, **settings: Any
) -> Links:
    """What the endpoints need."""
    own = LinkSettings(**{"proxy_keys": ("key",), "camo_key": "test", **settings})
    door = door or Door()
    signer = Signer(own.proxy_keys, seconds=own.proxy_seconds, public_url="", clock=lambda: NOW)
    return Links(
        previews=Previews(door, sight or Sight(), cache or Cache(own.cache_bytes), signer, own),
        fetcher=door,
        signer=signer,
        camo=Camo(own.camo_key),
        settings=own,
        image_bytes=2**20,
        via=VIA,
    )
