"""Presets as an operator writes them: what is taken, and how what cannot be is told."""

import tomllib

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Output, Recipe
from remote_worker.service.presets import BadPresets, Preset, Presets, read


def problems(text: str) -> list[str]:
    with pytest.raises(BadPresets) as caught:
        read(tomllib.loads(text)["presets"])
    return caught.value.problems


def outputs(text: str) -> tuple[Output, ...]:
    (preset,) = read(tomllib.loads(f"[presets.x]\noutputs = [{text}]")["presets"]).values()
    return preset.recipe.outputs


def problem(text: str) -> str:
    (only,) = problems(f"[presets.x]\noutputs = [{text}]")
    return only


def test_a_preset_has_all_that_its_table_says() -> None:
    written = """
    [presets.card-2]
    facts = ["blurhash", "phash"]
    [[presets.card-2.outputs]]
    name = "small"
    width = 320
    height = 200
    mode = "cover"
    gravity = "attention"
    format = "webp"
    quality = 80
    [[presets.card-2.outputs]]
    name = "Large2"
    width = 65535
    height = 1
    mode = "pad"
    background = "FF00aa80"
    enlarge = true
    """

    expected = Recipe(
        outputs=(
            Output(
                name="small",
                width=320,
                height=200,
                mode="cover",
                gravity="attention",
                format="webp",
                quality=80,
            ),
            Output(name="Large2", width=65535, height=1, mode="pad", background="FF00aa80", enlarge=True),
        ),
        facts=("blurhash", "phash"),
    )
    assert read(tomllib.loads(written)["presets"]) == {"card-2": Preset(name="card-2", recipe=expected)}


def test_facts_alone_are_a_preset_and_nothing_is_none() -> None:
    (preset,) = read({"x": {"facts": ["colors"]}}).values()

    assert preset.recipe == Recipe(facts=("colors",))
    for text in ("", "outputs = []", "facts = []"):
        assert problems(f"[presets.x]\n{text}") == ["presets.x: outputs must be given, or facts"]


@pytest.mark.parametrize("name", ["a", "0", "a-", "a--b", "a" * 32])
def test_a_name_is_of_small_letters_digits_and_hyphens(name: str) -> None:
    assert list(read({name: {"facts": ["phash"]}})) == [name]


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a b", "a" * 33, "ä", "a/b", "a\n"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(BadPresets, match="a name is 1 to 32"):
        read({name: {"facts": ["phash"]}})


@pytest.mark.parametrize("name", ["a", "A9", "a" * 16, "fact", "output"])
def test_an_output_is_named_by_letters_and_digits(name: str) -> None:
    assert outputs(f'{{name="{name}", width=1, height=1}}')[0].name == name


@pytest.mark.parametrize("name", ["", "a" * 17, "a-b", "a b", "ä", "facts"])
def test_no_output_has_another_name_or_that_of_the_facts(name: str) -> None:
    told = problem(f'{{name="{name}", width=1, height=1}}')

    assert (
        told
        == f"presets.x.outputs[0]: name must be 1 to 16 letters and digits, and not 'facts', not {name!r}"
    )


def test_two_outputs_with_one_name_are_refused() -> None:
    one = '{name="a", width=1, height=1}'

    assert problem(f"{one}, {one}") == "presets.x: outputs must be named each by another name, not twice 'a'"


def test_a_preset_has_so_many_outputs_and_not_one_more() -> None:
    def many(count: int) -> str:
        return ",".join(f'{{name="o{index}", width=1, height=1}}' for index in range(count))

    assert len(outputs(many(16))) == 16
    assert problem(many(17)) == "presets.x: outputs must be at most 16, not 17"


@pytest.mark.parametrize(
    ("member", "takes"),
    [
        ("width=0", "width must be a whole number from 1 to 65535, not 0"),
        ("width=65536", "width must be a whole number from 1 to 65535, not 65536"),
        ("width=true", "width must be a whole number from 1 to 65535, not True"),
        ('width="8"', "width must be a whole number from 1 to 65535, not '8'"),
        ('width=1, mode="contain"', "mode must be one of fit, cover, pad, crop, not 'contain'"),
        ("width=1, mode=[1]", "mode must be one of fit, cover, pad, crop, not [1]"),
        ('width=1, format="gif"', "format must be one of jpeg, png, webp, avif, not 'gif'"),
        ("width=1, quality=0", "quality must be a whole number from 1 to 100, not 0"),
        ("width=1, quality=101", "quality must be a whole number from 1 to 100, not 101"),
        ('width=1, background="red"', "background must be rrggbb or rrggbbaa, not 'red'"),
        ('width=1, background="12345"', "background must be rrggbb or rrggbbaa, not '12345'"),
        ("width=1, enlarge=1", "enlarge must be true or false, not 1"),
        ("", "width must be a whole number from 1 to 65535"),
    ],
)
def test_a_member_with_another_value_is_told_with_what_would_do(member: str, takes: str) -> None:
    table = ", ".join(filter(None, ['name="a"', "height=1", member]))

    assert problem(f"{{{table}}}") == f"presets.x.outputs[0]: {takes}"


def test_the_best_quality_and_the_longest_side_are_taken() -> None:
    (output,) = outputs('{name="a", width=65535, height=1, quality=100}')

    assert (output.width, output.quality) == (65535, 100)


def test_an_unknown_member_is_told_with_its_nearest_neighbour() -> None:
    assert problem('{name="a", widht=1, width=1, height=1}') == (
        "presets.x.outputs[0] has no widht: did you mean width?"
    )
    assert problems('[presets.x]\nfacts=["phash"]\nzzz=1') == [
        "presets.x has no zzz: there are outputs, facts"
    ]


@pytest.mark.parametrize("facts", ['"phash"', '["phash", "phash"]', '["md5"]', "[1]", "[[]]"])
def test_facts_are_a_list_of_known_words(facts: str) -> None:
    assert problems(f"[presets.x]\nfacts={facts}\noutputs=[]") == [
        "presets.x: facts must be a list of blurhash, thumbhash, colors, phash, each once"
    ]


@pytest.mark.parametrize("text", ["presets = 1", "[presets]\nx = 1", "[presets.x]\noutputs = 1"])
def test_what_is_no_table_is_refused(text: str) -> None:
    assert len(problems(text)) == 1


def test_all_problems_are_told_at_once() -> None:
    told = problems(
        '[presets.Bad]\nfacts=["phash"]\n'
        '[presets.x]\noutputs=[{name="a", width=0, height=0}, {name="b c", width=1, height=1}]'
    )

    assert len(told) == 4


def test_presets_are_found_by_their_names_until_they_are_exchanged() -> None:
    one, other = read({"one": {"facts": ["phash"]}}), read({"other": {"facts": ["phash"]}})
    presets = Presets(one)
    assert presets.named("one") == one["one"]

    presets.exchange(other)

    assert list(presets) == [other["other"]]
    with pytest.raises(WorkFailed) as caught:
        presets.named("one")
    assert caught.value.code is FailureCode.NOT_FOUND
