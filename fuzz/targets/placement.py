"""Where pictures come to stand: those of HEIF and of recipes; and what SVG text is drawn."""

from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.messages import GRAVITIES, MODES, Output, Picture
from remote_worker.decoder import placement
from remote_worker.decoder.headers import heif, svg
from remote_worker.pool import verify

from ..choices import Choices


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


def of_recipe(data: bytes) -> None:
    """A part of the picture lies on a canvas of a size that the host takes for what was asked."""
    choices = Choices(data)
    longest = 65_535 if choices.flag() else 12

    def side() -> int:
        return choices.number(1, longest)

    output = Output(
        name="output",
        width=side(),
        height=side(),
        mode=choices.one_of(MODES),
        gravity=choices.one_of([gravity for gravity in GRAVITIES if gravity in placement.FOCUS]),
        enlarge=choices.flag(),
    )
    display = side(), side()
    plan = placement.plan(display, output)
    focus = placement.FOCUS[output.gravity]
    left, top, right, bottom = plan.window(focus)
    assert 0 <= left < right <= plan.scaled[0] and 0 <= top < bottom <= plan.scaled[1], plan
    x, y = plan.corner(focus)
    assert 0 <= x <= plan.canvas[0] - plan.cut[0] and 0 <= y <= plan.canvas[1] - plan.cut[1], plan
    assert output.enlarge or (plan.scaled[0] <= display[0] and plan.scaled[1] <= display[1]), plan
    width, height = plan.canvas
    made = Picture(format="png", width=width, height=height, frames=1, body=memoryview(b""))
    assert verify.is_made(output, made), plan
