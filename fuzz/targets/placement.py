"""What decoding asks of headers beside the facts: where a HEIF picture stands, and what SVG text is drawn."""

from remote_worker.contract.failures import WorkFailed
from remote_worker.decoder.headers import heif, svg


def of_heif(data: bytes) -> None:
    """The part that is shown lies inside the picture."""
    try:
        placed = heif.placement(data)
    except WorkFailed:
        return
    if placed.crop is not None:
        left, top, right, bottom = placed.crop
        assert 0 <= left < right and 0 <= top < bottom, placed.crop


def of_svg(data: bytes) -> None:
    """The text for drawing reads as an SVG of the same size."""
    try:
        drawing = svg.drawing(data)
    except WorkFailed:
        return
    facts = svg.read(data)
    assert facts.width == max(1, int(drawing.width + 0.5)), (facts.width, drawing.width)
    assert facts.height == max(1, int(drawing.height + 0.5)), (facts.height, drawing.height)
