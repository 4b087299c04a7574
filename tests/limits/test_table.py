"""The table of limits is complete: every limit in the code has a row, and every row its tests."""

import ast
import importlib
import pkgutil
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from limits.pairs import DAMAGED, PAIRS

import remote_worker
from remote_worker import settings
from scripts import limits_table
from scripts.limits_table import READERS, Limit

TESTS = Path(__file__).parents[1]
LIMITS = list(limits_table.every())
SOUNDS_LIKE_A_LIMIT = re.compile(r"_?(MOST|LONGEST|DEEPEST|LARGEST|HIGHEST|TALLEST|WIDEST)(_|$)")
RUNS_WHEN_IMPORTED = {"remote_worker.__main__"}


@cache
def constants() -> set[str]:
    """The constants of our modules that sound like a limit, each where it is defined."""
    found = set()
    for module in pkgutil.walk_packages(remote_worker.__path__, "remote_worker."):
        if module.name in RUNS_WHEN_IMPORTED:
            continue
        path = Path(str(importlib.import_module(module.name).__file__))
        place = module.name.removeprefix("remote_worker.")
        tree = ast.parse(path.read_text())
        scopes = [
            ("", tree.body),
            *((f"{node.name}.", node.body) for node in tree.body if isinstance(node, ast.ClassDef)),
        ]
        for prefix, body in scopes:
            for node in body:
                for target in node.targets if isinstance(node, ast.Assign) else []:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    found |= {
                        f"{place}:{prefix}{name.id}"
                        for name in names
                        if isinstance(name, ast.Name) and SOUNDS_LIKE_A_LIMIT.match(name.id)
                    }
    return found


def test_every_setting_is_a_limit_with_a_row_or_said_to_be_none() -> None:
    names = {field.name for part in settings.PARTS.values() for field in fields(part)}
    rows = {
        limit.place.removeprefix("REMOTE_").lower() for limit in LIMITS if limit.place.startswith("REMOTE_")
    }

    assert names - rows - limits_table.NO_LIMITS.keys() == set()
    assert rows - names == set()
    assert rows & limits_table.NO_LIMITS.keys() == set()


def test_every_constant_that_sounds_like_a_limit_has_a_row_or_is_said_to_be_none() -> None:
    rows = {limit.place for limit in LIMITS}

    assert len(constants()) > 60
    assert constants() - rows - limits_table.NO_LIMITS.keys() == set()
    assert rows & limits_table.NO_LIMITS.keys() == set()


def test_no_limit_has_two_rows() -> None:
    places = [limit.place for limit in LIMITS]

    assert len(places) == len(set(places))


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.place)
def test_a_row_has_a_value_and_tests_that_there_are(limit: Limit) -> None:
    assert isinstance(limit.value, int | float)
    for test in limit.tests:
        path, _, name = test.partition("::")
        assert name in functions(path)
        # What is shown by one of the pairs must have one, and it must end as the row says.
        assert test != READERS or limit.place in PAIRS
    if READERS in limit.tests and limit.past is DAMAGED:
        assert PAIRS[limit.place].outside is DAMAGED


@pytest.mark.parametrize("parameter", limits_table.PARAMETERS, ids=lambda row: row[0])
def test_a_parameter_has_a_test_that_there_is(parameter: tuple[str, str, str, str]) -> None:
    path, _, name = parameter[3].partition("::")

    assert name in functions(path)


def test_every_pair_has_a_row() -> None:
    assert PAIRS.keys() <= {limit.place for limit in LIMITS}


@cache
def functions(path: str) -> set[str]:
    """The tests of a file."""
    return {
        node.name for node in ast.parse((TESTS / path).read_text()).body if isinstance(node, ast.FunctionDef)
    }
