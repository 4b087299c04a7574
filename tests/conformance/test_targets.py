"""Every format that can be asked for is written from everything that can be read, sealed as in production."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

from .corpora import Sample, samples
from .service import Service

TARGETS = ("", "jpeg", "png", "webp", "avif")
MOST_PIXELS = 500 * 500
MOST_FRAMES = 512
AT_ONCE = 4


def test_every_target_is_written_from_every_sample(service: Service) -> None:
    shown = [
        sample
        for sample in samples()
        if sample.expected == "ok"
        and not sample.is_hostile
        and (sample.frames or 1) <= MOST_FRAMES
        and (sample.width or 0) * (sample.height or 0) * (sample.frames or 1) <= MOST_PIXELS
    ]

    def ask(question: tuple[Sample, str, str]) -> tuple[str, str, int, object]:
        sample, target, animated = question
        switches = f"?animated={animated}" + (f"&format={target}" if target else "")
        answer = service.post(f"/images/fit/10000{switches}", sample.read())
        return sample.id, switches, answer.status, answer.code

    with ThreadPoolExecutor(AT_ONCE) as callers:
        answers = list(callers.map(ask, filter(_tells_more, product(shown, TARGETS, "01"))))

    assert len(answers) > 500
    assert [answer for answer in answers if answer[2] != 200] == []


def _tells_more(question: tuple[Sample, str, str]) -> bool:
    """To ask for frames where nothing moves: the project's own pictures, which have every format, will do."""
    sample, _, animated = question
    return animated == "0" or sample.frames != 1 or sample.id.startswith("own/")
