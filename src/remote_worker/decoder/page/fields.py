"""What a page says of itself, chosen among all the ways of saying it: for each the order is below."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...contract import pages
from . import body, json_ld, walls
from .body import Body
from .scanner import Attributes, Reader, head
from .values import Addresses, clean, date, matching, raw, whole

MOST_RAW = 200
"""Properties that are passed on as the page has them, of og and its like, and of twitter."""
MOST_NAMES = 10
"""Of one tag."""
_NAMED_BY = ("property", "name", "itemprop")
_STRUCTURED = ("og:image", "og:video", "og:audio")
_LEAST_SIDE = 50
"""A picture said to be smaller comes behind the others."""
_ITEM_IMAGES = ("image", "thumbnailUrl")
_KEPT_RAW = ("og:", "article:", "book:", "profile:", "video:", "music:", "product:", "fb:", "al:")
_ICON_RELS = frozenset({"icon", "apple-touch-icon", "apple-touch-icon-precomposed"})
_OEMBED_TYPES = frozenset(
    {"application/json+oembed", "text/json+oembed", "text/xml+oembed", "application/xml+oembed"}
)
_POOR_NAMES = ("sprite", "logo", "icon", "avatar", "blank", "pixel", "placeholder", "close", "spacer")

Facts = dict[str, Any]


class Page:
    """All that was found on a page, for those who choose among it."""

    def __init__(self, url: str, reader: Reader) -> None:
        self.url = url
        self.text = reader.text
        self.head = head(reader)
        self.metas = gathered(self.head.metas)
        self.links = [(tag["rel"].lower().split(), tag) for tag in self.head.links if "rel" in tag]
        self.structured = [
            (key.lower(), tag.get("content", ""))
            for tag in self.head.metas
            if (key := tag.get("property") or tag.get("name") or "")[:8].lower() in _STRUCTURED
        ]
        self.addresses = Addresses(url, self.head.base)
        self.blocks = json_ld.read(self.head.json_ld)
        self.items = json_ld.about(self.blocks, url)
        self._reader = reader
        self._body: Body | None = None

    def meta(self, *names: str) -> str:
        """The first that says something."""
        for name in names:
            for value in self.metas.get(name, ()):
                if value and not value.isspace():
                    return value
        return ""

    def has_card(self) -> bool:
        """It means to be previewed."""
        return bool(self.meta("og:title", "twitter:title", "og:image", "og:description"))

    def shows_body(self) -> bool:
        """Only the body can say what it is."""
        return not (self.has_card() or self.head.title.strip())

    def body(self) -> Body:
        """What its body shows; read when it is first asked for."""
        if self._body is None:
            self._body = body.read(self._reader, self.head.ends) if self.shows_body() else Body()
        return self._body


def gathered(metas: Sequence[Attributes]) -> dict[str, list[str]]:
    """Contents by property or name, in lower case; a tag with both counts for both."""
    found: dict[str, list[str]] = {}
    for tag in metas:
        content = tag.get("content")
        if content is None:
            continue
        said = [tag[kind] for kind in _NAMED_BY if kind in tag]
        names = [" ".join(said).lower()]
        if " " in names[0] or not names[0].isprintable():
            names = list(dict.fromkeys(names[0].split()))[:MOST_NAMES]
        for name in names:
            found.setdefault(name, []).append(content)
    return found


def chosen(page: Page) -> Facts:
    """The members of PageFacts that have something, but `charset` and `raw`."""
    facts: Facts = {
        "title": clean(_title(page), pages.LONGEST_TITLE),
        "description": clean(_description(page), pages.LONGEST_DESCRIPTION),
        "site_name": clean(_site_name(page), pages.LONGEST_NAME),
        "type": matching(pages.KIND, page.meta("og:type")),
        "canonical_url": _canonical_url(page),
        "lang": _lang(page),
        "author": clean(_author(page), pages.LONGEST_NAME),
        "published_time": _published_time(page),
        "theme_color": matching(pages.COLOR, page.meta("theme-color")),
        "images": _images(page),
        "icons": _icons(page),
        "videos": _videos(page),
        "audios": _audios(page),
        "oembed": _oembed(page),
        "flags": walls.flags(page),
    }
    return {name: value for name, value in facts.items() if value}


def kept_raw(page: Page) -> Facts:
    """The properties as the page has them; a list where one is repeated."""
    found: Facts = {"og": {}, "twitter": {}, "json_ld": json_ld.cut(page.blocks)}
    count = 0
    for name, contents in page.metas.items():
        if count >= MOST_RAW:
            break
        kind = "og" if name.startswith(_KEPT_RAW) else "twitter" if name.startswith("twitter:") else ""
        if kind:
            kept = list(map(raw, contents[: MOST_RAW - count]))
            count += len(kept)
            found[kind][raw(name)] = kept if len(kept) > 1 else kept[0]
    return {kind: members for kind, members in found.items() if members}


def _title(page: Page) -> str:
    return (
        page.meta("og:title", "twitter:title")
        or page.head.title.strip()
        or json_ld.first(page.items, "headline", "name")
        or page.meta("dc.title", "title", "name")
        or page.body().heading
    )


def _description(page: Page) -> str:
    return (
        page.meta("og:description", "twitter:description", "description", "dc.description")
        or json_ld.first(page.items, "description", "abstract")
        or page.body().paragraph
    )


def _site_name(page: Page) -> str:
    return page.meta("og:site_name", "application-name") or _named(page.items, "publisher")


def _author(page: Page) -> str:
    for name in ("author", "article:author", "dc.creator", "parsely-author"):
        for value in page.metas.get(name, ()):
            # Many give the address of a profile here.
            if value.strip() and "://" not in value and not value.startswith("/"):
                return value
    return _named(page.items, "author", "creator") or page.meta("twitter:creator")


def _named(items: Sequence[json_ld.Item], *members: str) -> str:
    return next(filter(None, (json_ld.name_of(item.get(name)) for item in items for name in members)), "")


def _published_time(page: Page) -> str:
    said = (
        *(value for name in _DATES for value in page.metas.get(name, ())),
        json_ld.first(page.items, "datePublished", "dateCreated", "uploadDate"),
    )
    return next(filter(None, map(date, said)), "")


_DATES = (
    "article:published_time",
    "og:article:published_time",
    "video:release_date",
    "book:release_date",
    "music:release_date",
    "datepublished",
    "parsely-pub-date",
    "dc.date",
    "dc.date.issued",
    "pubdate",
    "publish-date",
    "date",
)


def _lang(page: Page) -> str:
    return matching(pages.LANGUAGE, page.head.lang) or matching(
        pages.LANGUAGE, page.meta("og:locale").replace("_", "-")
    )


def _canonical_url(page: Page) -> str:
    said = [tag.get("href", "") for rels, tag in page.links if "canonical" in rels]
    return next(filter(None, map(page.addresses.absolute, [*said[:3], page.meta("og:url")])), "")


def _images(page: Page) -> list[Facts]:
    images: dict[str, tuple[int, Facts]] = {}
    for image in _stated_images(page):
        url = page.addresses.absolute(image.get("url"))
        if not url or url in images or len(images) >= 5 * pages.MOST_IMAGES:
            continue
        facts: Facts = {"url": url}
        for side in ("width", "height"):
            if pixels := whole(image.get(side)):
                facts[side] = pixels
        alt = image.get("alt")
        if isinstance(alt, str) and (text := clean(alt, pages.LONGEST_NAME)):
            facts["alt"] = text
        images[url] = (_doubt(facts), facts)
    ordered = sorted(images.values(), key=lambda pair: pair[0])
    return [facts for _, facts in ordered[: pages.MOST_IMAGES]]


def _stated_images(page: Page) -> Iterator[Facts]:
    yield from _groups(page, "og:image")
    for name in ("twitter:image", "twitter:image:src"):
        for url in page.metas.get(name, ())[: pages.MOST_IMAGES]:
            yield {"url": url, "alt": page.meta("twitter:image:alt")}
    for name in ("image", "thumbnailurl", "msapplication-tileimage"):
        for url in page.metas.get(name, ())[: pages.MOST_IMAGES]:
            yield {"url": url}
    yield from ({"url": tag.get("href")} for rels, tag in page.links if "image_src" in rels)
    yield from ({"url": tag.get("href")} for tag in page.head.links if tag.get("itemprop") in _ITEM_IMAGES)
    for item in page.items[: pages.MOST_IMAGES]:
        for name in _ITEM_IMAGES:
            for picture in json_ld.pictures_of(item.get(name)):
                yield {"alt": picture.get("caption"), **picture}
    yield from page.body().images


def _doubt(image: Facts) -> int:
    """How much speaks against showing it first; equal ones stay in the page's order."""
    path = str(image["url"]).partition("?")[0].lower()
    name = path.rpartition("/")[2]
    sides = [image[side] for side in ("width", "height") if side in image]
    return (
        4 * (not name)
        + 3 * bool(sides and min(sides) < _LEAST_SIDE)
        + 2 * path.endswith((".svg", ".ico"))
        + any(word in name for word in _POOR_NAMES)
    )


def _groups(page: Page, root: str) -> list[Facts]:
    """Structured properties (ogp.me): what follows a root says more of it."""
    groups: list[Facts] = []
    for name, content in page.structured:
        member = name.removeprefix(root)
        if member == name or member[:1] not in ("", ":") or not content.strip():
            continue
        member = member[1:]
        if not groups or (member in ("", "url") and not _is_again(groups[-1], member, content)):
            if len(groups) == 5 * pages.MOST_IMAGES:
                break
            groups.append({})
        groups[-1].setdefault(member or "url", content)
    for group in groups:
        # An address for HTTPS is the better one when there are two.
        group["url"] = group.get("secure_url") or group.get("url")
    return groups


def _is_again(group: Facts, member: str, content: str) -> bool:
    """`og:image:url` says the same as `og:image`; and sizes may stand before the address that they are of."""
    return "url" not in group or (member == "url" and group["url"] == content)


def _icons(page: Page) -> list[Facts]:
    icons: dict[str, Facts] = {}
    for rels, tag in page.links:
        if _ICON_RELS.isdisjoint(rels):
            continue
        url = page.addresses.absolute(tag.get("href"))
        if url and url not in icons:
            icons[url] = {"url": url}
            if sizes := matching(pages.SIZES, " ".join(tag.get("sizes", "").lower().split())):
                icons[url]["sizes"] = sizes
            if len(icons) == pages.MOST_ICONS:
                break
    return list(icons.values())


def _videos(page: Page) -> list[Facts]:
    said = _groups(page, "og:video") if page.meta("og:video", "og:video:url", "og:video:secure_url") else []
    if stream := page.meta("twitter:player:stream"):
        said.append({"url": stream, "type": page.meta("twitter:player:stream:content_type")})
    said += [{"url": item.get("contentUrl"), "type": item.get("encodingFormat")} for item in page.items]
    return _media(page, said)


def _audios(page: Page) -> list[Facts]:
    return _media(page, _groups(page, "og:audio"))


def _media(page: Page, said: Sequence[Facts]) -> list[Facts]:
    media: dict[str, Facts] = {}
    for one in said:
        url = page.addresses.absolute(one.get("url"))
        if not url or url in media or len(media) == pages.MOST_MEDIA:
            continue
        facts = media[url] = {"url": url}
        kind = one.get("type")
        if isinstance(kind, str) and (media_type := matching(pages.MEDIA_TYPE, kind.partition(";")[0])):
            facts["type"] = media_type.lower()
        for side in ("width", "height"):
            if pixels := whole(one.get(side)):
                facts[side] = pixels
    return list(media.values())


def _oembed(page: Page) -> list[Facts]:
    return _media(
        page,
        [
            {"url": tag.get("href"), "type": tag.get("type")}
            for rels, tag in page.links
            if "alternate" in rels and tag.get("type", "").strip().lower() in _OEMBED_TYPES
        ],
    )
