"""Dominant colours by median cut, which gives the same ones every time."""

from PIL import Image

from ...contract.messages import MOST_COLORS

_SEEN = 128
"""The least alpha of a pixel that counts."""
_LEAST_SHARE = 0.01
_NEAR = 16
"""Levels of each channel by which colours differ that are told as one."""


def dominant(image: Image.Image) -> list[str]:
    """The colours of an RGBA picture as `#rrggbb`, the most of it first; none of one that is all clear."""
    line = _seen(image)
    if line is None:
        return []
    reduced = line.quantize(MOST_COLORS, Image.Quantize.MEDIANCUT)
    palette = bytes(reduced.getpalette() or ())
    shares: dict[bytes, int] = {}
    counts = sorted(enumerate(reduced.histogram()[:MOST_COLORS]), key=lambda pair: (-pair[1], pair[0]))
    for at, count in counts:
        if count == 0:
            break
        color = palette[3 * at : 3 * at + 3]
        near = next((other for other in shares if _is_near(color, other)), color)
        shares[near] = shares.get(near, 0) + count
    least = _LEAST_SHARE * line.width * line.height
    by_share = sorted(shares, key=lambda color: (-shares[color], color))
    return [f"#{color.hex()}" for color in by_share if shares[color] >= least]


def _seen(image: Image.Image) -> Image.Image | None:
    """The pixels that count, in any order."""
    if not any(image.getchannel("A").histogram()[:_SEEN]):
        return image.convert("RGB")
    pixels = image.tobytes()
    seen = [pixels[at : at + 3] for at in range(0, len(pixels), 4) if pixels[at + 3] >= _SEEN]
    return Image.frombytes("RGB", (len(seen), 1), b"".join(seen)) if seen else None


def _is_near(one: bytes, other: bytes) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))
