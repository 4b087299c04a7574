"""Each page of the corpus gives what its manifest says, and the host takes it."""

import json

import pytest

from decoder.page.samples import FOLDER, SAMPLES, Sample
from remote_worker.contract import wire
from remote_worker.contract.texts import ReadPage
from remote_worker.decoder.page import read
from remote_worker.pool import verify_page


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_page_says_what_it_says(sample: Sample) -> None:
    facts = read.read(ReadPage(url=sample.url, charset=sample.charset), sample.data).facts

    assert {name: facts.get(name) for name in sample.expect} == sample.expect
    assert not facts.keys() & set(sample.absent)
    assert verify_page.facts(wire.read_facts(memoryview(json.dumps(facts).encode())))


def test_every_page_has_its_row() -> None:
    assert {path.stem for path in FOLDER.glob("*.html")} == {sample.name for sample in SAMPLES}
