"""Players of known sites, rebuilt from the identifier in a page's URL. Nothing a site sent gets in. Pure."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

_PLAYER = ("autoplay", "encrypted-media", "fullscreen", "picture-in-picture")
_SOUND = ("autoplay", "encrypted-media")


@dataclass(frozen=True, slots=True)
class Player:
    """A site's player. `page` matches host, path and query; what its groups find goes into `src`."""

    provider: str
    type: str
    page: str
    src: str
    width: int | None
    height: int | None
    allow: tuple[str, ...]


PLAYERS = (
    Player(
        "YouTube",
        "video",
        r"(?:(?:www\.|m\.|music\.)?youtube\.com/(?:watch\?(?:.*&)?v=|shorts/|live/|embed/|v/)|youtu\.be/)"
        r"(?P<id>[\w-]{11})(?![\w-]).*",
        "https://www.youtube-nocookie.com/embed/{id}",
        560,
        315,
        _PLAYER,
    ),
    Player(
        "YouTube",
        "video",
        r"(?:www\.|m\.)?youtube\.com/playlist\?(?:.*&)?list=(?P<id>[\w-]{12,64})(?:&.*)?",
        "https://www.youtube-nocookie.com/embed/videoseries?list={id}",
        560,
        315,
        _PLAYER,
    ),
    Player(
        "Vimeo",
        "video",
        r"(?:(?:www\.)?vimeo\.com/(?:channels/[\w-]+/|groups/[\w-]+/videos/)?|player\.vimeo\.com/video/)"
        r"(?P<id>[0-9]{1,12})(?:[/?].*)?",
        "https://player.vimeo.com/video/{id}?dnt=1",
        640,
        360,
        _PLAYER,
    ),
    Player(
        "Dailymotion",
        "video",
        r"(?:(?:www\.)?dailymotion\.com/(?:embed/)?video/|dai\.ly/)(?P<id>[0-9A-Za-z]{5,12})(?:[_/?].*)?",
        "https://geo.dailymotion.com/player.html?video={id}",
        640,
        360,
        _PLAYER,
    ),
    Player(
        "Twitch",
        "video",
        r"(?:www\.|m\.)?twitch\.tv/videos/(?P<id>[0-9]{1,12})(?:\?.*)?",
        "https://player.twitch.tv/?video=v{id}&autoplay=false",
        620,
        378,
        ("autoplay", "fullscreen"),
    ),
    Player(
        "Twitch",
        "video",
        r"clips\.twitch\.tv/(?P<id>[\w-]{4,100})(?:\?.*)?",
        "https://clips.twitch.tv/embed?clip={id}&autoplay=false",
        620,
        378,
        ("autoplay", "fullscreen"),
    ),
    Player(
        "Twitch",
        "video",
        r"(?:www\.|m\.)?twitch\.tv/\w{4,25}/clip/(?P<id>[\w-]{4,100})(?:\?.*)?",
        "https://clips.twitch.tv/embed?clip={id}&autoplay=false",
        620,
        378,
        ("autoplay", "fullscreen"),
    ),
    Player(
        "TikTok",
        "video",
        r"(?:www\.|m\.)?tiktok\.com/@[\w.-]+/video/(?P<id>[0-9]{10,24})(?:[/?].*)?",
        "https://www.tiktok.com/player/v1/{id}",
        325,
        580,
        ("fullscreen",),
    ),
    Player(
        "Streamable",
        "video",
        r"(?:www\.)?streamable\.com/(?:e/)?(?P<id>[0-9a-z]{4,12})(?:\?.*)?",
        "https://streamable.com/e/{id}",
        640,
        360,
        ("fullscreen",),
    ),
    Player(
        "Bilibili",
        "video",
        r"(?:www\.|m\.)?bilibili\.com/video/(?P<id>BV[0-9A-Za-z]{10})(?:[/?].*)?",
        "https://player.bilibili.com/player.html?bvid={id}&autoplay=0",
        640,
        360,
        ("fullscreen",),
    ),
    Player(
        "Niconico",
        "video",
        r"(?:(?:www\.|sp\.)?nicovideo\.jp/watch|nico\.ms)/(?P<id>(?:sm|nm|so)[0-9]{1,12})(?:\?.*)?",
        "https://embed.nicovideo.jp/watch/{id}",
        640,
        360,
        ("fullscreen",),
    ),
    Player(
        "TED",
        "video",
        r"(?:www\.|embed\.)?ted\.com/talks/(?P<id>[0-9a-z_]{3,150})(?:[/?].*)?",
        "https://embed.ted.com/talks/{id}",
        640,
        360,
        ("fullscreen",),
    ),
    Player(
        "Loom",
        "video",
        r"(?:www\.)?loom\.com/(?:share|embed)/(?P<id>[0-9a-f]{32})(?:\?.*)?",
        "https://www.loom.com/embed/{id}",
        640,
        360,
        ("fullscreen",),
    ),
    Player(
        "Internet Archive",
        "video",
        r"(?:www\.)?archive\.org/details/(?P<id>[\w.-]{3,100})(?:[/?].*)?",
        "https://archive.org/embed/{id}",
        640,
        480,
        ("fullscreen",),
    ),
    Player(
        "Spotify",
        "audio",
        r"open\.spotify\.com/(?:intl-[a-z]{2}/)?(?:embed/)?(?P<kind>track|album|playlist|artist|episode|show)/"
        r"(?P<id>[0-9A-Za-z]{22})(?:\?.*)?",
        "https://open.spotify.com/embed/{kind}/{id}",
        None,
        352,
        _SOUND,
    ),
    Player(
        "SoundCloud",
        "audio",
        r"(?P<page>(?:www\.|m\.)?soundcloud\.com/[\w-]{3,60}/(?:sets/)?[\w-]{1,200})(?:\?.*)?",
        "https://w.soundcloud.com/player/?url=https%3A%2F%2F{page}&visual=false",
        None,
        166,
        _SOUND,
    ),
    Player(
        "Apple Music",
        "audio",
        r"music\.apple\.com/(?P<country>[a-z]{2})/(?P<kind>album|playlist|song)/(?P<name>[\w%-]{1,200})/"
        r"(?P<id>[\w.-]{4,64})(?:\?.*)?",
        "https://embed.music.apple.com/{country}/{kind}/{name}/{id}",
        None,
        450,
        _SOUND,
    ),
    Player(
        "Deezer",
        "audio",
        r"(?:www\.)?deezer\.com/(?:[a-z]{2}/)?(?P<kind>track|album|playlist)/(?P<id>[0-9]{1,14})(?:\?.*)?",
        "https://widget.deezer.com/widget/auto/{kind}/{id}",
        None,
        300,
        _SOUND,
    ),
    Player(
        "CodePen",
        "rich",
        r"(?:www\.)?codepen\.io/(?P<user>[\w-]{1,60})/(?:pen|details|full|embed)/(?P<id>[0-9A-Za-z]{5,36})"
        r"(?:[/?].*)?",
        "https://codepen.io/{user}/embed/{id}?default-tab=result",
        None,
        400,
        ("fullscreen",),
    ),
    Player(
        "Bluesky",
        "rich",
        r"bsky\.app/profile/(?P<user>did:plc:[a-z2-7]{24})/post/(?P<id>[0-9a-z]{8,20})(?:\?.*)?",
        "https://embed.bsky.app/embed/{user}/app.bsky.feed.post/{id}",
        600,
        None,
        (),
    ),
    Player(
        "Figma",
        "rich",
        r"(?:www\.)?figma\.com/(?P<kind>file|design|proto|board)/(?P<id>[0-9A-Za-z]{10,64})(?:[/?].*)?",
        "https://embed.figma.com/{kind}/{id}?embed-host=remote-worker",
        800,
        450,
        ("fullscreen",),
    ),
)

_COMPILED = [(player, re.compile(player.page, re.ASCII)) for player in PLAYERS]
_ANY = re.compile("|".join(re.sub(r"\(\?P<\w+>", "(?:", player.page) for player in PLAYERS), re.ASCII)
"""For the many pages of sites that are not here: one look in place of one for each row."""


def embed(*urls: str) -> dict[str, Any] | None:
    """The player for the first of these canonical URLs that has one."""
    for url in dict.fromkeys(urls):
        parts = urlsplit(url)
        if parts.port not in (None, 80, 443):
            continue
        page = f"{parts.hostname}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        if not _ANY.match(page):
            continue
        for player, pattern in _COMPILED:
            found = pattern.fullmatch(page)
            if found is not None:
                return _built(player, found.groupdict())
    return None


def _built(player: Player, found: dict[str, str]) -> dict[str, Any]:
    groups = {
        name: quote(text, safe="%:" if name in ("user", "name") else "") for name, text in found.items()
    }
    return {
        "provider": player.provider,
        "type": player.type,
        "src": player.src.format(**groups),
        "width": player.width,
        "height": player.height,
        "allow": list(player.allow),
    }
