"""A recipe: several outputs and facts of one document, out of one decode."""

from fractions import Fraction
from functools import cached_property

from PIL import Image

from ..contract.failures import FailureCode, WorkFailed
from ..contract.messages import Output, Recipe
from . import attention, color, encode, facts, operations, placement
from .document import Document, Size
from .loaders.loader import Loader
from .made import Body, Made, Result
from .patience import Patience
from .source import Source

_ATTENTION = "attention"


def recipe(task: Recipe, document: Document, loader: Loader) -> Result:
    """All its outputs and facts. Raises WorkFailed."""
    made = Made()
    pictures = _Pictures(task, document, loader, made)
    left = document.limits.output_bytes
    for output, plan in zip(task.outputs, pictures.plans, strict=True):
        kind, body = pictures.made(output, plan, left)
        left -= len(body)
        made.add(output.name, kind, plan.canvas, body)
    result = made.result(document)
    result.facts["info"] = facts.told(task.facts, pictures.look) if task.facts else {}
    return result


class _Pictures:
    """What a recipe's outputs are made of: one decode for all of them, or of a vector picture a drawing each.

    Holds the limits for all that will be made.
    """

    def __init__(self, task: Recipe, document: Document, loader: Loader, made: Made) -> None:
        self._document = document
        self._written = made.written
        self._loader = loader
        self._needs_look = bool(task.facts) or any(output.gravity == _ATTENTION for output in task.outputs)
        self._patience = Patience()
        self._unhurried_pixels_left = encode.MOST_UNHURRIED_PIXELS
        self.plans = [placement.plan(document.display, output) for output in task.outputs]
        if not document.format.is_vector:
            document.hold_still()
        for plan in self.plans:
            document.hold(plan.canvas)
            if document.format.is_vector:
                document.hold(plan.scaled)
        if sum(plan.canvas[0] * plan.canvas[1] for plan in self.plans) > document.limits.pixels:
            raise WorkFailed(FailureCode.TOO_MANY_PIXELS, "over all outputs")

    def made(self, output: Output, plan: placement.Plan, most_bytes: int) -> tuple[str, Body]:
        """One output: its format and its file."""
        document = self._document
        kind = output.format or document.format.fit
        is_plain = output.mode == "fit" and not output.background
        if is_plain and document.is_copied(kind, plan.canvas):
            return kind, document.first_frame(most_bytes)
        focus = self._focus(output, plan)
        image = self._source(plan.scaled).part(plan.scaled, plan.window(focus))
        if not output.format and color.carries_alpha(image):
            kind = document.format.fit_with_alpha
        has_alpha = encode.WRITERS[kind].has_alpha
        image = operations.laid(
            image, plan.canvas, plan.corner(focus), output.background, has_alpha=has_alpha
        )
        in_a_hurry = self._is_in_a_hurry(plan.canvas)
        return kind, self._written(image, kind, output.quality, most_bytes, in_a_hurry=in_a_hurry)

    def _is_in_a_hurry(self, size: Size) -> bool:
        """Sixteen pictures must be written in the time of one: some at leisure, the others not."""
        pixels = size[0] * size[1]
        if len(self.plans) == 1:
            return False
        if pixels > self._unhurried_pixels_left:
            return True
        self._unhurried_pixels_left -= pixels
        return False

    @cached_property
    def look(self) -> Image.Image:
        """The small picture that facts are told from."""
        size = operations.fitted(self._document.display, (facts.LOOKED_AT, facts.LOOKED_AT))
        return self._source(size).part(size, (0, 0, *size))

    def _focus(self, output: Output, plan: placement.Plan) -> placement.Focus:
        if output.gravity != _ATTENTION:
            return placement.FOCUS[output.gravity]
        if plan.cut == plan.scaled:
            return placement.CENTER
        small = operations.fitted(self.look.size, (attention.LOOKED_AT, attention.LOOKED_AT))
        image = operations.scaled(facts.opaque(self.look), small).convert("RGB")
        shares = Fraction(plan.cut[0], plan.scaled[0]), Fraction(plan.cut[1], plan.scaled[1])
        return attention.focus(image, shares)

    def _source(self, scaled: Size) -> Source:
        """What holds the picture at this size or a larger one."""
        if not self._document.format.is_vector:
            return self._largest
        return self._largest if scaled == self._largest_size or self._patience.is_over else self._read(scaled)

    @cached_property
    def _largest(self) -> Source:
        return self._read(self._largest_size)

    @cached_property
    def _largest_size(self) -> Size:
        display = self._document.display
        sizes = [plan.scaled for plan in self.plans]
        if self._needs_look:
            sizes.append(operations.fitted(display, (facts.LOOKED_AT, facts.LOOKED_AT)))
        if self._document.format.is_vector:
            return max(sizes)
        width, height = (max(sides) for sides in zip(*sizes, strict=True))
        # A picture that is to be enlarged is not there any larger than it is.
        return min(width, display[0]), min(height, display[1])

    def _read(self, size: Size) -> Source:
        header = self._document.header
        decoded = self._loader.still(self._document.data, header, operations.sides(size, header.orientation))
        return Source(decoded, header.bit_depth)
