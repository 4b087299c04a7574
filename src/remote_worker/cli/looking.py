"""`remote-worker preview` and `resolve`: one link or one name, looked at as the server does it."""

import argparse
import asyncio
import json
import time

from .. import wiring
from ..service.network import Answered
from ..settings import Settings


def preview(options: argparse.Namespace, settings: Settings) -> int:
    """Print what a link leads to."""
    members = json.loads(asyncio.run(_look_at(options, settings)))
    if options.json:
        print(json.dumps(members, indent=2, sort_keys=True))
        return 0
    for name in _TOLD:
        if members.get(name):
            print(f"{name:<16}{members[name]}")
    for image in members["images"]:
        print(f"{'image':<16}{image['url']}")
    if members["flags"]:
        print(f"{'flags':<16}{' '.join(members['flags'])}")
    for hop in members.get("explain", {}).get("hops", ()):
        print(f"{'hop':<16}{json.dumps(hop, sort_keys=True)}")
    return 0


_TOLD = (
    "title",
    "description",
    "site_name",
    "type",
    "lang",
    "author",
    "published_time",
    "canonical_url",
    "final_url",
    "url",
)
"""The members of a preview that are printed for people."""


async def _look_at(options: argparse.Namespace, settings: Settings) -> bytes:
    async with wiring.open_door(settings) as door, wiring.open_texts(settings) as reader:
        links = wiring.links(settings, door, reader, door.via)
        async with links.previews as previews:
            deadline = time.monotonic() + settings.links.preview_seconds
            return await previews.preview(
                options.url, force=options.force, explain=options.explain, deadline=deadline
            )


def resolve(options: argparse.Namespace, settings: Settings) -> int:
    """Print a name's records."""
    answered = asyncio.run(_ask_servers(options.name, options.type.upper(), settings))
    for answer in answered.resolved.answers:
        print(answer)
    return 0


async def _ask_servers(name: str, kind: str, settings: Settings) -> Answered:
    async with wiring.open_door(settings) as door:
        names = wiring.names(door, settings)
        return await names.resolve(name, kind, time.monotonic() + settings.web.work_seconds)
