"""Known sites: where they answer oEmbed, and their players."""

import re
from urllib.parse import quote, urlsplit

import pytest

from remote_worker.service.embeds import PLAYERS, Player, embed
from remote_worker.service.providers import PROVIDERS, endpoint


@pytest.mark.parametrize(
    ("url", "begin"),
    [
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://www.youtube.com/oembed?"),
        ("https://youtu.be/dQw4w9WgXcQ", "https://www.youtube.com/oembed?"),
        ("https://vimeo.com/76979871", "https://vimeo.com/api/oembed.json?"),
        ("https://x.com/jack/status/20", "https://publish.twitter.com/oembed?"),
        ("https://www.tiktok.com/@scout2015/video/6718335390845095173", "https://www.tiktok.com/oembed?"),
        ("https://www.reddit.com/r/aww/comments/1/x/", "https://www.reddit.com/oembed?"),
        ("https://www.flickr.com/photos/a/1/", "https://www.flickr.com/services/oembed/?"),
        ("https://soundcloud.com/forss/flickermood", "https://soundcloud.com/oembed?"),
        ("https://open.spotify.com/track/298gs9ATwr2rD9tGYJKlQR", "https://open.spotify.com/oembed?"),
        ("https://www.dailymotion.com/video/x5e9eog", "https://www.dailymotion.com/services/oembed?"),
        ("https://bsky.app/profile/bsky.app/post/3k", "https://embed.bsky.app/oembed?"),
        ("https://a.tumblr.com/post/123/x", "https://www.tumblr.com/oembed/1.0?"),
        (
            "https://a.wordpress.com/2026/01/01/x/",
            "https://public-api.wordpress.com/oembed/?for=remote-worker&",
        ),
    ],
)
def test_a_known_site_is_asked_where_it_answers(url: str, begin: str) -> None:
    assert endpoint(url) == f"{begin}format=json&url={quote(url, safe='')}"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/",
        "https://www.youtube.com.evil.example/watch?v=dQw4w9WgXcQ",
        "https://evil.example/www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://notvimeo.com/76979871",
        "https://eviltumblr.com/post/123/x",
        "https://www.youtube.com:8080/watch?v=dQw4w9WgXcQ",
        "https://x.com/jack",
    ],
)
def test_another_site_is_not_taken_for_a_known_one(url: str) -> None:
    assert endpoint(url) is None


def test_there_are_forty_sites_and_all_answer_over_tls() -> None:
    assert len({provider.name for provider in PROVIDERS}) >= 40
    assert {urlsplit(provider.endpoint).scheme for provider in PROVIDERS} == {"https"}


@pytest.mark.parametrize(
    ("url", "src"),
    [
        (
            "https://www.youtube.com/watch?t=5&v=dQw4w9WgXcQ",
            "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
        ),
        ("https://youtu.be/dQw4w9WgXcQ?si=x", "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"),
        ("https://vimeo.com/76979871", "https://player.vimeo.com/video/76979871?dnt=1"),
        (
            "https://open.spotify.com/intl-de/track/298gs9ATwr2rD9tGYJKlQR?si=1",
            "https://open.spotify.com/embed/track/298gs9ATwr2rD9tGYJKlQR",
        ),
        (
            "https://soundcloud.com/forss/flickermood",
            "https://w.soundcloud.com/player/?url=https%3A%2F%2Fsoundcloud.com%2Fforss%2Fflickermood&visual=false",
        ),
        (
            "https://www.dailymotion.com/video/x5e9eog",
            "https://geo.dailymotion.com/player.html?video=x5e9eog",
        ),
        (
            "https://www.twitch.tv/videos/106400740",
            "https://player.twitch.tv/?video=v106400740&autoplay=false",
        ),
        (
            "https://codepen.io/chriscoyier/pen/gfdDu",
            "https://codepen.io/chriscoyier/embed/gfdDu?default-tab=result",
        ),
        (
            "https://www.bilibili.com/video/BV1xx411c7mD",
            "https://player.bilibili.com/player.html?bvid=BV1xx411c7mD&autoplay=0",
        ),
    ],
)
def test_a_player_is_built_from_the_identifier(url: str, src: str) -> None:
    found = embed(url)

    assert found is not None
    assert found["src"] == src


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=dQw4w9WgXc",  # Ten letters.
        "https://www.youtube.com/watch?v=dQw4w9WgXcQQ",  # Twelve.
        "https://www.youtube.com/watch?v=dQw4w9W%22XcQ",
        "https://www.youtube.com.evil.example/watch?v=dQw4w9WgXcQ",
        "https://evil.example/?u=www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://vimeo.com/about",
        "https://vimeo.com:444/76979871",
        "https://soundcloud.com/forss/%22onload=",
        "https://example.org/",
    ],
)
def test_no_player_for_anything_else(url: str) -> None:
    assert embed(url) is None


def test_the_first_url_with_a_player_wins() -> None:
    found = embed("https://t.co/x", "https://vimeo.com/76979871", "https://youtu.be/dQw4w9WgXcQ")

    assert found is not None
    assert found == {
        "provider": "Vimeo",
        "type": "video",
        "src": "https://player.vimeo.com/video/76979871?dnt=1",
        "width": 640,
        "height": 360,
        "allow": ["autoplay", "encrypted-media", "fullscreen", "picture-in-picture"],
    }


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.src)
def test_a_players_host_is_fixed_and_what_is_filled_in_cannot_leave_its_place(player: Player) -> None:
    src = player.src

    assert re.match(r"https://[a-z.-]+/[^{]*", src)
    assert "{" not in urlsplit(src).netloc
