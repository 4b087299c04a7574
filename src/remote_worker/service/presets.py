"""Recipes that an operator has named: read from a settings file once, then asked for by their names."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import LONGEST_SIDE
from ..contract.messages import FACTS, GRAVITIES, MODES, MOST_OUTPUTS, OUTPUT_FORMATS, Output, Recipe
from ..contract.wire import FACTS as FACTS_PART

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
OUTPUT_NAME = re.compile(r"[A-Za-z0-9]{1,16}")
BACKGROUND = re.compile(r"[0-9a-fA-F]{6}(?:[0-9a-fA-F]{2})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A recipe with a name."""

    name: str
    recipe: Recipe


class BadPresets(Exception):
    """They cannot be used; each problem names a preset and says what would do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Presets:
    """Those in effect, which may be exchanged for others while requests are in hand."""

    def __init__(self, presets: Mapping[str, Preset]) -> None:
        self._presets = presets

    def named(self, name: str) -> Preset:
        """The preset of this name. Raises WorkFailed."""
        preset = self._presets.get(name)
        if preset is None:
            raise WorkFailed(FailureCode.NOT_FOUND, "there is no preset of this name")
        return preset

    def __iter__(self) -> Iterator[Preset]:
        return iter(self._presets.values())

    def exchange(self, presets: Mapping[str, Preset]) -> None:
        """From now on these and no others."""
        self._presets = presets


def read(tables: object) -> dict[str, Preset]:
    """The presets in a settings file's tables. Raises BadPresets with every problem there is."""
    if not isinstance(tables, Mapping):
        raise BadPresets(["presets are tables: [presets.NAME]"])
    problems: list[str] = []
    found: dict[str, Preset] = {}
    for name, table in tables.items():
        where = f"presets.{name}"
        reading = _Reading(where, problems)
        if not NAME.fullmatch(name):
            problems.append(f"{where}: a name is 1 to 32 of a-z, 0-9 and -, and does not begin with -")
        elif isinstance(table, Mapping):
            recipe = reading.recipe(table)
            if recipe is not None:
                found[name] = Preset(name=name, recipe=recipe)
        else:
            problems.append(f"{where} must be a table: [{where}]")
    if problems:
        raise BadPresets(problems)
    return found


class _Reading:
    """One preset, or one output of it, being read. All that is wrong is noted; then there is none."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self._where = where
        self._problems = problems

    def recipe(self, table: Mapping[str, Any]) -> Recipe | None:
        before = len(self._problems)
        self._see_members(table, ("outputs", "facts"))
        outputs = table.get("outputs", [])
        if not (isinstance(outputs, list) and all(isinstance(one, Mapping) for one in outputs)):
            self._note("outputs", 'a list of tables: [{name = "small", width = 320, height = 200}]')
            outputs = []
        elif len(outputs) > MOST_OUTPUTS:
            self._note("outputs", f"at most {MOST_OUTPUTS}, not {len(outputs)}")
        made = [
            _Reading(f"{self._where}.outputs[{index}]", self._problems).output(one)
            for index, one in enumerate(outputs)
        ]
        kept = tuple(output for output in made if output is not None)
        names = [output.name for output in kept]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._note("outputs", f"named each by another name, not twice {name!r}")
        facts = self._facts(table.get("facts", []))
        if not (made or facts) and len(self._problems) == before:
            self._note("outputs", "given, or facts")
        return Recipe(outputs=kept, facts=facts) if len(self._problems) == before else None

    def output(self, table: Mapping[str, Any]) -> Output | None:
        before = len(self._problems)
        self._see_members(table, _MEMBERS)
        values = {}
        for name, (does, takes) in _MEMBERS.items():
            if name in table and does(table[name]):
                values[name] = table[name]
            elif name in table:
                self._note(name, f"{takes}, not {table[name]!r}")
            elif name in _REQUIRED:
                self._note(name, takes)
        return Output(**values) if len(self._problems) == before else None

    def _facts(self, facts: object) -> tuple[str, ...]:
        if isinstance(facts, list) and all(fact in FACTS for fact in facts) and len(set(facts)) == len(facts):
            return tuple(facts)
        self._note("facts", f"a list of {', '.join(FACTS)}, each once")
        return ()

    def _see_members(self, table: Mapping[str, Any], known: "Mapping[str, Any] | tuple[str, ...]") -> None:
        for name in table:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                self._problems.append(f"{self._where} has no {name}: {hint}")

    def _note(self, member: str, takes: str) -> None:
        self._problems.append(f"{self._where}: {member} must be {takes}")


def _is_side(value: object) -> bool:
    return type(value) is int and 0 < value <= LONGEST_SIDE


def _is_quality(value: object) -> bool:
    return type(value) is int and 0 < value <= 100


def _is_output_name(value: object) -> bool:
    # The reply of a child has the facts under that name.
    return isinstance(value, str) and bool(OUTPUT_NAME.fullmatch(value)) and value != FACTS_PART


def _is_background(value: object) -> bool:
    return isinstance(value, str) and bool(BACKGROUND.fullmatch(value))


_SIDE = f"a whole number from 1 to {LONGEST_SIDE}"
_REQUIRED = ("name", "width", "height")
_MEMBERS: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (_is_output_name, f"1 to 16 letters and digits, and not {FACTS_PART!r}"),
    "width": (_is_side, _SIDE),
    "height": (_is_side, _SIDE),
    "mode": (lambda value: value in MODES, f"one of {', '.join(MODES)}"),
    "gravity": (lambda value: value in GRAVITIES, f"one of {', '.join(GRAVITIES)}"),
    "background": (_is_background, "rrggbb or rrggbbaa"),
    "enlarge": (lambda value: isinstance(value, bool), "true or false"),
    "format": (lambda value: value in OUTPUT_FORMATS, f"one of {', '.join(OUTPUT_FORMATS)}"),
    "quality": (_is_quality, "a whole number from 1 to 100"),
}
"""Of an output: what each member takes."""
