"""How far the shapes of an SVG drawing reach: its natural size when it states none.

Shapes, paths and pictures count with their strokes and transformations. Text, `use` and style sheets do not.
"""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from xml.parsers import expat

SEPARATOR = " "
MOST_CHARACTERS = 2 * 1024 * 1024
MOST_ELEMENTS = 10_000
MOST_DEPTH = 1000
MOST_NUMBERS = 200_000
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
PATH_PART = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])([^MmZzLlHhVvCcSsQqTtAa]*)")
TRANSFORM = re.compile(r"(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^)]{0,400})\)")
UNSEEN = frozenset(
    "defs symbol clipPath mask pattern marker linearGradient radialGradient filter metadata title desc style"
    " script foreignObject".split()
)
STEPS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7}

Matrix = tuple[float, float, float, float, float, float]
Extent = tuple[float, float, float, float]
Point = tuple[float, float]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(slots=True)
class _State:
    """What an element hands down."""

    matrix: Matrix = IDENTITY
    has_stroke: bool = False
    stroke_width: float = 1.0
    is_seen: bool = True


class _Enough(Exception):
    """The drawing is longer than is worth reading; what was seen so far counts."""


def extent_of(text: str) -> Extent | None:
    """Left, top, right and bottom of what is drawn, as far as can be told; None when nothing is."""
    walk = _Walk()
    parser = expat.ParserCreate("utf-8", SEPARATOR)
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    with suppress(_Enough, expat.ExpatError, ValueError, OverflowError):
        # In one piece: expat looks at a long attribute again from its start with every further piece.
        parser.Parse(text[:MOST_CHARACTERS].encode("utf-8", "replace"), False)
    return walk.extent()


class _Walk:
    """Collects the extent of the elements as the parser meets them."""

    def __init__(self) -> None:
        self._states = [_State()]
        self._elements = 0
        self._numbers = MOST_NUMBERS
        self._bounds = [math.inf, math.inf, -math.inf, -math.inf]

    def extent(self) -> Extent | None:
        left, top, right, bottom = self._bounds
        if not all(map(math.isfinite, self._bounds)) or right <= left or bottom <= top:
            return None
        return left, top, right, bottom

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS or len(self._states) > MOST_DEPTH:
            raise _Enough
        state = self._state(name.rpartition(SEPARATOR)[2], attributes)
        self._states.append(state)
        if state.is_seen:
            self._add(state, list(self._points(name.rpartition(SEPARATOR)[2], attributes)))

    def end(self, _name: str) -> None:
        self._states.pop()

    def _state(self, name: str, attributes: dict[str, str]) -> _State:
        above = self._states[-1]
        stated = dict(attributes)
        for declaration in attributes.get("style", "")[:4096].split(";"):
            key, _, value = declaration.partition(":")
            stated[key.strip()] = value.strip()
        stroke = stated.get("stroke")
        transform = stated.get("transform")
        return _State(
            _product(above.matrix, self._matrix(transform)) if transform else above.matrix,
            above.has_stroke if stroke in (None, "inherit") else stroke != "none",
            self._number(stated.get("stroke-width"), above.stroke_width),
            above.is_seen and name not in UNSEEN and stated.get("display") != "none",
        )

    def _points(self, name: str, attributes: dict[str, str]) -> Iterator[Point]:
        def number(key: str, otherwise: float = 0.0) -> float:
            return self._number(attributes.get(key), otherwise)

        if name in ("rect", "image"):
            left, top, width, height = (number(key) for key in ("x", "y", "width", "height"))
            if width > 0 and height > 0:
                yield from _corners(left, top, left + width, top + height)
        elif name in ("circle", "ellipse"):
            across = number("r") if name == "circle" else number("rx")
            down = number("r") if name == "circle" else number("ry")
            if across > 0 and down > 0:
                x, y = number("cx"), number("cy")
                yield from _corners(x - across, y - down, x + across, y + down)
        elif name == "line":
            yield number("x1"), number("y1")
            yield number("x2"), number("y2")
        elif name in ("polygon", "polyline"):
            numbers = self._all_numbers(attributes.get("points", ""))
            yield from zip(numbers[::2], numbers[1::2], strict=False)
        elif name == "path":
            yield from self._path(attributes.get("d", ""))

    def _path(self, path: str) -> Iterator[Point]:
        """The corners and control points, within which a curve stays; an arc counts generously."""
        x = y = start_x = start_y = 0.0
        for part in PATH_PART.finditer(path):
            letter = part[1].upper()
            is_relative = part[1] != letter
            if letter == "Z":
                x, y = start_x, start_y
                continue
            numbers = self._all_numbers(part[2])
            step = STEPS[letter]
            for at in range(0, len(numbers) - step + 1, step):
                values = numbers[at : at + step]
                base_x, base_y = (x, y) if is_relative else (0.0, 0.0)
                if letter == "H":
                    x = base_x + values[0]
                elif letter == "V":
                    y = base_y + values[0]
                elif letter == "A":
                    end_x, end_y = base_x + values[5], base_y + values[6]
                    yield from _arc(x, y, end_x, end_y, values)
                    x, y = end_x, end_y
                else:
                    for pair in range(0, step, 2):
                        yield base_x + values[pair], base_y + values[pair + 1]
                    x, y = base_x + values[-2], base_y + values[-1]
                if letter == "M" and at == 0:
                    start_x, start_y = x, y
                yield x, y

    def _add(self, state: _State, points: list[Point]) -> None:
        if not points:
            return
        half = state.stroke_width / 2 if state.has_stroke else 0.0
        a, b, c, d, e, f = state.matrix
        across, down = half * math.hypot(a, c), half * math.hypot(b, d)
        bounds = self._bounds
        for x, y in points:
            to_x, to_y = a * x + c * y + e, b * x + d * y + f
            bounds[0] = min(bounds[0], to_x - across)
            bounds[1] = min(bounds[1], to_y - down)
            bounds[2] = max(bounds[2], to_x + across)
            bounds[3] = max(bounds[3], to_y + down)

    def _matrix(self, transform: str) -> Matrix:
        matrix = IDENTITY
        for part in TRANSFORM.finditer(transform[:4096]):
            numbers = self._all_numbers(part[2])
            step = _step(part[1], numbers)
            if step is not None:
                matrix = _product(matrix, step)
        return matrix

    def _number(self, stated: str | None, otherwise: float) -> float:
        found = NUMBER.match(stated.strip()[:64]) if stated else None
        return float(found[0]) if found else otherwise

    def _all_numbers(self, stated: str) -> list[float]:
        numbers = []
        for found in NUMBER.finditer(stated):
            self._numbers -= 1
            if self._numbers < 0:
                raise _Enough
            numbers.append(float(found[0][:64]))
        return numbers


def _arc(x: float, y: float, end_x: float, end_y: float, values: list[float]) -> Iterator[Point]:
    """Points around the ellipse of an arc, rather too far out than too near."""
    reach = max(abs(values[0]), abs(values[1]), math.hypot(end_x - x, end_y - y) / 2)
    if values[3] == 0 and reach * 2 > math.hypot(end_x - x, end_y - y):
        # A small arc stays within its sagitta of the chord.
        half = math.hypot(end_x - x, end_y - y) / 2
        reach = reach - math.sqrt(max(0.0, reach * reach - half * half))
        yield from _corners(min(x, end_x), min(y, end_y), max(x, end_x), max(y, end_y))
    middle_x, middle_y = (x + end_x) / 2, (y + end_y) / 2
    yield from _corners(middle_x - reach, middle_y - reach, middle_x + reach, middle_y + reach)


def _step(kind: str, numbers: list[float]) -> Matrix | None:
    """The matrix of one transformation."""
    count = len(numbers)
    if kind == "matrix" and count == 6:
        return numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    if kind == "translate" and count in (1, 2):
        return 1.0, 0.0, 0.0, 1.0, numbers[0], numbers[1] if count == 2 else 0.0
    if kind == "scale" and count in (1, 2):
        return numbers[0], 0.0, 0.0, numbers[-1], 0.0, 0.0
    if kind == "rotate" and count in (1, 3):
        cosine, sine = math.cos(math.radians(numbers[0])), math.sin(math.radians(numbers[0]))
        x, y = (numbers[1], numbers[2]) if count == 3 else (0.0, 0.0)
        return cosine, sine, -sine, cosine, x - cosine * x + sine * y, y - sine * x - cosine * y
    if kind == "skewX" and count == 1:
        return 1.0, 0.0, math.tan(math.radians(numbers[0])), 1.0, 0.0, 0.0
    if kind == "skewY" and count == 1:
        return 1.0, math.tan(math.radians(numbers[0])), 0.0, 1.0, 0.0, 0.0
    return None


def _product(outer: Matrix, inner: Matrix) -> Matrix:
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f


def _corners(left: float, top: float, right: float, bottom: float) -> Iterator[Point]:
    yield left, top
    yield right, top
    yield right, bottom
    yield left, bottom
