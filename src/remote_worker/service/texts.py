"""What can be done with a stranger's text: Markdown to HTML, with signed addresses of pictures if wanted."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from ..contract.failures import FailureCode, WorkFailed
from ..contract.markup import image_sources, is_allowed
from ..contract.texts import MOST_TEXT_BYTES, Rendered, RenderMarkdown

_SLICE = 32 * 1024
"""Characters looked through at once, half a millisecond at most."""


class Renderer(Protocol):
    """Renders texts, away from this process."""

    async def render(
        self, text: bytes, task: RenderMarkdown, *, deadline: float, caller: str = ""
    ) -> Rendered:
        """Do it by `deadline`, a `time.monotonic` value. Raises WorkFailed; cancelling ends the work."""
        ...


class Texts:
    """The use cases, on whatever renders; `sign` gives the address at which a picture is proxied."""

    def __init__(self, renderer: Renderer, sign: Callable[[str], str] | None = None) -> None:
        self._renderer = renderer
        self._sign = sign

    @property
    def proxies_images(self) -> bool:
        """Whether pictures can be given signed addresses."""
        return self._sign is not None

    async def markdown(
        self, text: str, *, proxy_images: bool = False, deadline: float, caller: str = ""
    ) -> str:
        """The text as HTML that a page may hold. Raises WorkFailed."""
        if proxy_images and self._sign is None:
            raise WorkFailed(FailureCode.NOT_CONFIGURED, "no key for signed addresses is set")
        data = _encoded(text)
        if len(data) > MOST_TEXT_BYTES:
            raise WorkFailed(FailureCode.TOO_LARGE, "the text has too many bytes")
        rendered = await self._renderer.render(data, RenderMarkdown(), deadline=deadline, caller=caller)
        # Who renders may be in a stranger's hands.
        for piece in _slices(rendered.html):
            if not is_allowed(piece):
                raise WorkFailed(FailureCode.DECODER_CRASHED)
            if len(piece) > _SLICE:
                await asyncio.sleep(0)
        if not proxy_images or self._sign is None:
            return rendered.html
        if list(rendered.image_sources) != image_sources(rendered.html):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return _with_signed(rendered, self._sign)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # Half a pair of surrogates, which JSON can say.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _slices(html: str) -> Iterator[str]:
    """Cut in front of tags, so that each piece shows all that there is to see of its tags."""
    start = 0
    while len(html) - start > _SLICE:
        end = html.find("<", start + _SLICE)
        if end < 0:
            break
        yield html[start:end]
        start = end
    yield html[start:]


def _with_signed(rendered: Rendered, sign: Callable[[str], str]) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in rendered.image_sources:
        address = _unescaped(rendered.html[start:stop])
        pieces += [rendered.html[end:start], _escaped(_proxied(address, sign))]
        end = stop
    return "".join((*pieces, rendered.html[end:]))


def _proxied(address: str, sign: Callable[[str], str]) -> str:
    """Only what leads away from the page that the text will be on."""
    if address.lower().startswith(("http:", "https:")):
        return sign(address)
    # Browsers read a backslash as a slash.
    slashes = address.replace("\\", "/")
    return sign(f"https:{slashes}") if slashes.startswith("//") else address


_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&"))
"""The ampersand is the last to be unescaped and the first to be escaped."""


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return text


def _escaped(text: str) -> str:
    for escape, character in reversed(_ESCAPES):
        text = text.replace(character, escape)
    return text
