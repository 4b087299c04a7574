"""What may come out of a page: how long, how many, and which characters no text of it holds."""

import re

LONGEST_TITLE = 300
LONGEST_DESCRIPTION = 1000
LONGEST_NAME = 200
"""Of an author, a site, a picture's alternative text: characters, like all of these."""
LONGEST_URL = 2048
LONGEST_RAW = 2048
"""A value that is passed on as the page has it."""
MOST_IMAGES = 10
MOST_ICONS = 10
MOST_MEDIA = 5
"""Films, sounds, and addresses of oEmbed, of each."""
LARGEST_SIDE = 1_000_000
"""Of a picture or a film as a page states it; what is said beyond counts as not said."""

FLAGS = ("bot_wall", "consent", "login", "paywall", "nsfw", "noindex")

UNCLEAN = re.compile(
    "[\0-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff"
    "\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Controls, overrides of direction, what has no width, halves of pairs, and what is no character.

ZWJ and ZWNJ are not among them: emoji and Persian are written with them.
"""
DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,6}")
COLOR = re.compile(
    r"#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,30}|(?:rgb|hsl|hwb|lab|lch|oklab|oklch)a?\([0-9a-z.,%/ +-]{1,60}\)"
)
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
KIND = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""`og:type`."""
SIZES = re.compile(r"(?:any|[0-9]{1,5}x[0-9]{1,5})(?: (?:any|[0-9]{1,5}x[0-9]{1,5})){0,9}")
URL = re.compile(r"https?://[!-~]+")
"""As a WHATWG parser writes them."""

OEMBED_TYPES = ("photo", "video", "link", "rich")
OEMBED_TEXTS = {
    "type": 10,
    "version": 10,
    "title": LONGEST_TITLE,
    "author_name": LONGEST_NAME,
    "provider_name": LONGEST_NAME,
}
"""Members of an oEmbed answer that are text, with the most characters of each."""
OEMBED_ADDRESSES = ("author_url", "provider_url", "thumbnail_url", "url")
OEMBED_NUMBERS = {
    "cache_age": 10 * 366 * 86_400,
    "thumbnail_width": LARGEST_SIDE,
    "thumbnail_height": LARGEST_SIDE,
    "width": LARGEST_SIDE,
    "height": LARGEST_SIDE,
}
"""Those that are whole numbers from 1, with the largest."""
