"""The settings file: what it may say, what wins over it, and how its mistakes are told."""

from pathlib import Path

import pytest

from remote_worker.contract.messages import Output, Recipe
from remote_worker.settings import BadSettings, Settings, read, read_presets

PRESET = '[presets.small]\noutputs = [{name = "a", width = 8, height = 6}]\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.toml"


def settings(path: Path, text: str, **variables: str) -> Settings:
    path.write_text(text)
    return read({"REMOTE_SETTINGS_FILE": str(path), "REMOTE_UID": "w1", **variables})


def problems(path: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        settings(path, text, **variables)
    return [problem.replace(str(path), "FILE") for problem in caught.value.problems]


def test_a_setting_stands_in_the_file_without_its_prefix(path: Path) -> None:
    found = settings(
        path,
        "connections = 512\ninput_bytes = '100KiB'\nframes = 7\nwork_seconds = 2.5\nbody_seconds = 3\n"
        "jail = true\nhttps_to_http = true\nformats = ['jpeg', 'png']\negress_ports = [80, 8080]\n"
        "region = 'eu'\n",
    )

    assert (found.web.connections, found.limits.input_bytes, found.limits.frames) == (512, 102_400, 7)
    assert (found.web.work_seconds, found.web.body_seconds) == (2.5, 3.0)
    assert (found.pool.jail, found.fetch.https_to_http) == (True, True)
    assert (found.pool.formats, found.fetch.egress_ports) == (("jpeg", "png"), (80, 8080))
    assert found.web.region == "eu"


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(path: Path) -> None:
    text = "connections = 512\nframes = 7\n"

    found = settings(path, text, REMOTE_CONNECTIONS="99")

    assert (found.web.connections, found.limits.frames) == (99, 7)
    assert found.limits.pixels == 64_000_000
    assert found.origins["REMOTE_CONNECTIONS"] == "environment"
    assert found.origins["REMOTE_FRAMES"] == "file"
    assert "REMOTE_PIXELS" not in found.origins


def test_without_a_file_there_are_no_presets() -> None:
    assert read({}).presets == {}


def test_the_file_has_presets(path: Path) -> None:
    found = settings(path, PRESET)

    expected = Recipe(outputs=(Output(name="a", width=8, height=6),))
    assert {name: preset.recipe for name, preset in found.presets.items()} == {"small": expected}
    assert read_presets(str(path)) == found.presets


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("conections = 1", "FILE: conections is not a setting: did you mean connections?"),
        ("CONNECTIONS = 1", "FILE: CONNECTIONS is not a setting: `remote-worker settings` lists"),
        ("REMOTE_PORT = 1", "FILE: REMOTE_PORT is not a setting: "),
        ("[preset.small]\nfacts = ['phash']", "FILE: preset is not a setting: did you mean presets?"),
        ("settings_file = 'other.toml'", "FILE: settings_file is not a setting: "),
        ("connections = 0", "FILE: connections must be a whole number, 1 or more, not 0"),
        ("connections = 'many'", "FILE: connections must be a whole number, 1 or more, not 'many'"),
        ("connections = [1]\n[presets]", None),
        ("connections = 1.5", "FILE: connections must be a whole number, 1 or more, not 1.5"),
        ("connections = {a = 1}", "FILE: connections must be a whole number, 1 or more, not {'a': 1}"),
        ("connections = 2026-11-23", "FILE: connections must be a whole number, 1 or more, not "),
        ("work_seconds = inf", "FILE: work_seconds must be seconds from 0.1 to 3600, not inf"),
        ("jail = 2", "FILE: jail must be `on` or `off`, not 2"),
        ("host_names = ['a,b']", "FILE: host_names must be a list with commas, not ['a,b']"),
        ("host_names = [['a']]", "FILE: host_names must be a list with commas, not [['a']]"),
        ("[presets.Small]\nfacts = ['phash']", "FILE: presets.Small: a name is 1 to 32 of a-z, "),
        ("a = ", "REMOTE_SETTINGS_FILE must be a TOML file that can be read, not 'FILE': "),
    ],
)
def test_a_mistake_is_told_with_the_file_and_what_would_do(
    path: Path, text: str, problem: str | None
) -> None:
    if problem is None:
        assert settings(path, text).web.connections == 1  # A list of one is as in a variable.
        return
    (only,) = problems(path, text)

    assert only.startswith(problem)


def test_every_mistake_of_file_and_environment_is_told_at_once(path: Path) -> None:
    told = problems(
        path,
        "connections = 0\nzzz = 1\n[presets.x]\nfacts = ['md5']\n[presets.y]\n",
        REMOTE_FRAMES="0",
        REMOTE_NONE="1",
    )

    assert len(told) == 6


def test_a_secret_of_the_file_is_never_told(path: Path) -> None:
    (told,) = problems(path, "camo_key = {key = 'hush'}")

    assert told == "FILE: camo_key must be text"


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_cannot_be_read_stops_the_start(path: Path, there: bool) -> None:
    if there:
        path.write_bytes(b"region = '\xff'")
    with pytest.raises(BadSettings, match="REMOTE_SETTINGS_FILE must be a TOML file"):
        read({"REMOTE_SETTINGS_FILE": str(path)})


@pytest.mark.parametrize("value", ["[" * 10_000, "1" * 5000])
def test_what_no_reader_of_toml_takes_stops_the_start_like_others(path: Path, value: str) -> None:
    (problem,) = problems(path, f"connections = {value}")

    assert problem.startswith("REMOTE_SETTINGS_FILE must be a TOML file that can be read, not 'FILE'")
