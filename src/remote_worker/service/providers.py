"""Where the best-known sites answer oEmbed, for pages that do not say so or cannot be seen. Pure.

A choice out of the public list of oembed.com; each row is held to its hosts, so that no other site can pass
for one.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Provider:
    """A site. A host that begins with a dot stands for every name below it; `path` matches path and query."""

    name: str
    hosts: tuple[str, ...]
    path: str
    endpoint: str


PROVIDERS = (
    Provider(
        "YouTube",
        ("www.youtube.com", "youtube.com", "m.youtube.com", "music.youtube.com"),
        r"/(?:watch\?|shorts/|live/|playlist\?|embed/|v/).+",
        "https://www.youtube.com/oembed",
    ),
    Provider("YouTube", ("youtu.be",), r"/[\w-]+", "https://www.youtube.com/oembed"),
    Provider(
        "Vimeo",
        ("vimeo.com", "www.vimeo.com", "player.vimeo.com"),
        r"/(?:[0-9]+|video/[0-9]+|album/.+|channels/.+|groups/.+/videos/.+|ondemand/.+|showcase/.+|event/.+)",
        "https://vimeo.com/api/oembed.json",
    ),
    Provider(
        "X",
        ("twitter.com", "www.twitter.com", "mobile.twitter.com", "x.com", "www.x.com"),
        r"/[^/]+/status(?:es)?/[0-9]+|/i/(?:events|moments)/[0-9]+",
        "https://publish.twitter.com/oembed",
    ),
    Provider(
        "TikTok",
        ("www.tiktok.com", "tiktok.com", "m.tiktok.com"),
        r"/@[^/]+(?:/(?:video|photo)/[0-9]+)?",
        "https://www.tiktok.com/oembed",
    ),
    Provider(
        "Reddit",
        ("www.reddit.com", "reddit.com", "old.reddit.com"),
        r"/(?:r|u|user)/[^/]+/comments/.+",
        "https://www.reddit.com/oembed",
    ),
    Provider(
        "Flickr",
        ("www.flickr.com", "flickr.com", "m.flickr.com"),
        r"/photos/.+",
        "https://www.flickr.com/services/oembed/",
    ),
    Provider("Flickr", ("flic.kr",), r"/(?:p|s|ps)/.+", "https://www.flickr.com/services/oembed/"),
    Provider(
        "SoundCloud",
        ("soundcloud.com", "www.soundcloud.com", "m.soundcloud.com", "on.soundcloud.com"),
        r"/.+",
        "https://soundcloud.com/oembed",
    ),
    Provider(
        "Spotify",
        ("open.spotify.com", "spotify.link"),
        r"/.+",
        "https://open.spotify.com/oembed",
    ),
    Provider(
        "Dailymotion",
        ("www.dailymotion.com", "dailymotion.com"),
        r"/(?:video|playlist)/.+",
        "https://www.dailymotion.com/services/oembed",
    ),
    Provider("Dailymotion", ("dai.ly",), r"/\w+", "https://www.dailymotion.com/services/oembed"),
    Provider("Bluesky", ("bsky.app",), r"/profile/[^/]+/post/\w+", "https://embed.bsky.app/oembed"),
    Provider("CodePen", ("codepen.io", "www.codepen.io"), r"/[^/]+/.+", "https://codepen.io/api/oembed"),
    Provider(
        "CodeSandbox",
        ("codesandbox.io", "www.codesandbox.io"),
        r"/(?:s|embed)/.+",
        "https://codesandbox.io/oembed",
    ),
    Provider(
        "GIPHY",
        ("giphy.com", "www.giphy.com"),
        r"/(?:gifs|clips|stickers)/.+",
        "https://giphy.com/services/oembed",
    ),
    Provider("GIPHY", ("gph.is",), r"/.+", "https://giphy.com/services/oembed"),
    Provider("Imgur", ("imgur.com", "www.imgur.com", "m.imgur.com"), r"/.+", "https://api.imgur.com/oembed"),
    Provider(
        "Tumblr", (".tumblr.com",), r"/post/[0-9]+.*|/[^/]+/[0-9]+.*", "https://www.tumblr.com/oembed/1.0"
    ),
    Provider(
        "Pinterest",
        (".pinterest.com", "pinterest.com"),
        r"/pin/[0-9]+.*",
        "https://www.pinterest.com/oembed.json",
    ),
    Provider("TED", ("www.ted.com", "ted.com"), r"/talks/.+", "https://www.ted.com/services/v1/oembed.json"),
    Provider(
        "Mixcloud",
        ("www.mixcloud.com", "mixcloud.com", "m.mixcloud.com"),
        r"/[^/]+/[^/]+/?",
        "https://app.mixcloud.com/oembed/",
    ),
    Provider("Deezer", ("www.deezer.com", "deezer.com"), r"/.+", "https://api.deezer.com/oembed"),
    Provider(
        "Audiomack", ("audiomack.com", "www.audiomack.com"), r"/.+/.+/.+", "https://audiomack.com/oembed"
    ),
    Provider(
        "Audioboom",
        ("audioboom.com",),
        r"/(?:posts|channels?)/.+",
        "https://audioboom.com/publishing/oembed.json",
    ),
    Provider(
        "Figma",
        ("www.figma.com", "figma.com"),
        r"/(?:file|proto|design|board|slides)/[0-9A-Za-z]+.*",
        "https://www.figma.com/api/oembed",
    ),
    Provider("Loom", ("www.loom.com", "loom.com"), r"/(?:share|i)/.+", "https://www.loom.com/v1/oembed"),
    Provider("Miro", ("miro.com",), r"/app/board/.+", "https://miro.com/api/v1/oembed"),
    Provider("Canva", ("www.canva.com",), r"/design/[^/]+/.*view.*", "https://www.canva.com/_oembed"),
    Provider(
        "Wistia", (".wistia.com", ".wi.st"), r"/(?:medias|embed)/.+", "https://fast.wistia.com/oembed.json"
    ),
    Provider("Vidyard", (".vidyard.com",), r"/.+", "https://api.vidyard.com/dashboard/v1.1/oembed"),
    Provider(
        "Streamable",
        ("streamable.com", "www.streamable.com"),
        r"/\w+",
        "https://api.streamable.com/oembed.json",
    ),
    Provider("Rumble", ("rumble.com",), r"/.+\.html", "https://rumble.com/api/Media/oembed.json"),
    Provider("Odysee", ("odysee.com",), r"/.+", "https://odysee.com/$/oembed"),
    Provider(
        "Speaker Deck",
        ("speakerdeck.com", "www.speakerdeck.com"),
        r"/[^/]+/.+",
        "https://speakerdeck.com/oembed.json",
    ),
    Provider(
        "SlideShare",
        ("www.slideshare.net", ".slideshare.net"),
        r"/[^/]+/.+",
        "https://www.slideshare.net/api/oembed/2",
    ),
    Provider(
        "Scribd",
        ("www.scribd.com", "scribd.com"),
        r"/(?:doc|document)/.+",
        "https://www.scribd.com/services/oembed/",
    ),
    Provider("Issuu", ("issuu.com",), r"/[^/]+/docs/.+", "https://issuu.com/oembed"),
    Provider(
        "Kickstarter",
        ("www.kickstarter.com",),
        r"/projects/.+",
        "https://www.kickstarter.com/services/oembed",
    ),
    Provider(
        "DeviantArt",
        ("www.deviantart.com", ".deviantart.com"),
        r"/.*art/.+",
        "https://backend.deviantart.com/oembed",
    ),
    Provider("DeviantArt", ("fav.me", "sta.sh"), r"/.+", "https://backend.deviantart.com/oembed"),
    Provider("Behance", ("www.behance.net",), r"/gallery/.+", "https://www.behance.net/services/oembed"),
    Provider("500px", ("500px.com",), r"/photo/.+", "https://500px.com/oembed"),
    Provider("Sketchfab", ("sketchfab.com",), r"/(?:3d-)?models/.+", "https://sketchfab.com/oembed"),
    Provider("Datawrapper", ("datawrapper.dwcdn.net",), r"/.+", "https://api.datawrapper.de/v3/oembed/"),
    Provider(
        "Flourish",
        ("public.flourish.studio",),
        r"/(?:visualisation|story)/.+",
        "https://app.flourish.studio/api/v1/oembed",
    ),
    Provider("Infogram", ("infogram.com",), r"/.+", "https://infogram.com/oembed"),
    Provider("iFixit", ("www.ifixit.com",), r"/Guide/.+", "https://www.ifixit.com/Embed"),
    Provider(
        "WordPress.com",
        (".wordpress.com",),
        r"/.+",
        "https://public-api.wordpress.com/oembed/?for=remote-worker",
    ),
    Provider("Hugging Face Spaces", ("huggingface.co",), r"/spaces/.+", "https://huggingface.co/api/oembed"),
    Provider("Apple Music", ("music.apple.com",), r"/.+", "https://music.apple.com/api/oembed"),
    Provider("TED", ("embed.ted.com",), r"/talks/.+", "https://www.ted.com/services/v1/oembed.json"),
    Provider("NFB", ("www.nfb.ca",), r"/film/.+", "https://www.nfb.ca/remote/services/oembed/"),
    Provider("Coub", ("coub.com",), r"/(?:view|embed)/.+", "https://coub.com/api/oembed.json"),
    Provider("Gyazo", ("gyazo.com",), r"/\w+", "https://api.gyazo.com/api/oembed"),
    Provider("Replit", ("replit.com",), r"/@[^/]+/.+", "https://replit.com/data/oembed"),
)

_BY_HOST: dict[str, list[tuple[Provider, re.Pattern[str]]]] = {}
for _provider in PROVIDERS:
    for _host in _provider.hosts:
        _BY_HOST.setdefault(_host, []).append((_provider, re.compile(_provider.path)))


def endpoint(url: str) -> str | None:
    """Where oEmbed is asked for this canonical URL, or None where no provider is known."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port not in (None, 80, 443):
        return None
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    for name in _names(host):
        for provider, pattern in _BY_HOST.get(name, ()):
            if pattern.match(path):
                joint = "&" if "?" in provider.endpoint else "?"
                return f"{provider.endpoint}{joint}format=json&url={quote(url, safe='')}"
    return None


def _names(host: str) -> list[str]:
    """The host, then each domain above it as rows name what is below."""
    labels = host.split(".")
    return [host, *("." + ".".join(labels[start:]) for start in range(1, len(labels) - 1))]
