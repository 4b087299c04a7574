"""Two thousand mixed uploads, sixteen at a time, without one wrong answer."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

from .corpora import WELCOME_FORMATS, Sample, samples
from .service import Answer, Service

UPLOADS = 2_000
AT_ONCE = 16
SMALL_PIXELS = 128 * 128
QUESTIONS = ("/images/info", "/images/fit/24", "/images/fit/4096", "/images/rescale_avatar")

Request = tuple[Sample, str]


def test_two_thousand_mixed_uploads_get_the_answers_that_they_get_alone(service: Service) -> None:
    requests = _requests()
    contents = {sample.id: sample.read() for sample, _ in requests}

    def ask(request: Request) -> tuple[Request, Answer]:
        sample, question = request
        return request, service.post(question, contents[sample.id])

    alone = {(sample.id, question): _essence(ask((sample, question))[1]) for sample, question in requests}
    descriptors, processes = service.settled()
    crowd = random.Random(7).choices(requests, k=UPLOADS)
    with ThreadPoolExecutor(AT_ONCE) as callers:
        answers = list(callers.map(ask, crowd))

    wrong = {
        (sample.id, question): (answer.status, answer.json.get("code"))
        for (sample, question), answer in answers
        if answer.status != 200 or _essence(answer) != alone[sample.id, question]
    }
    assert not wrong
    assert service.settled() == (descriptors, processes)


def _requests() -> list[Request]:
    small = [
        sample
        for sample in samples()
        if sample.id.startswith("own/")
        and sample.expected == "ok"
        and not sample.is_hostile
        and (sample.width or 0) * (sample.height or 0) <= SMALL_PIXELS
    ]
    assert {sample.format for sample in small} == WELCOME_FORMATS
    jpeg = [(sample, "/images/prepare_jpeg") for sample in small if sample.format == "jpeg"]
    return [(sample, question) for sample in small for question in QUESTIONS] + jpeg


def _essence(answer: Answer) -> tuple[int, object]:
    """The answer without its clock and its request id."""
    pictures = {name: hashlib.sha256(body).hexdigest() for name, body in answer.pictures().items()}
    passing = {"start", "end", "cost", "request_id", *pictures}
    return answer.status, (
        pictures,
        {name: value for name, value in answer.json.items() if name not in passing},
    )
