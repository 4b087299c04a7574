"""What is submitted as jobs, and the answer that each gets when it is asked for directly."""

import hashlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import PROJECT

CORPUS = PROJECT / "tests" / "corpus"
BOUNDARY = "a-job-of-the-hold"
PRESETS = """
[presets.card]
outputs = [
  {name = "small", width = 40, height = 24, mode = "cover", format = "webp"},
  {name = "large", width = 120, height = 90, format = "png"},
]
facts = ["blurhash", "phash"]
"""
"""What the settings file of the workers has to say, besides."""

_PASSING = {"start", "end", "cost", "request_id", "fetch"}
"""Members of an answer in JSON that differ each time."""
_IMAGE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "image/*"}
_TOLD = {**_IMAGE, "Accept": "application/json"}
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}

Essence = tuple[int, str]
"""Of an answer that did not fail the status and a digest of all that stays the same, else status and code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that can be submitted. `share` says how often it is, beside the others."""

    name: str
    target: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(hash=False)
    share: int = 1


def questions(origin: str) -> list[Question]:
    """Good, broken and slow pictures, presets, posts, and previews of pages of this origin."""
    photo, drawing = CORPUS / "jpeg" / "all-avatars.jpg", CORPUS / "svg" / "everything.svg"
    cut = CORPUS / "hostile" / "cut" / "png-rgb.png"
    text = CORPUS / "hostile" / "not-an-image" / "text.jpg"
    slow = CORPUS / "hostile" / "bomb" / "64-megapixels.png"
    post = "# Later\n\nA *post* with [a link](https://example.org/) and `code`.\n\n" * 20
    page = json.dumps({"url": f"{origin}/page"}).encode()
    return [
        Question(
            name="good", target="/images/fit/100?format=webp", body=_form(photo), headers=_IMAGE, share=6
        ),
        Question(name="drawing", target="/images/fit/64", body=_form(drawing), headers=_IMAGE, share=2),
        Question(name="avatar", target="/images/rescale_avatar", body=_form(photo), headers=_TOLD, share=2),
        Question(name="preset", target="/images/preset/card", body=_form(photo), headers=_TOLD, share=3),
        Question(name="info", target="/images/info", body=_form(photo), headers=_TOLD),
        Question(name="cut", target="/images/fit/100", body=_form(cut), headers=_IMAGE, share=2),
        Question(name="no picture", target="/images/fit/100", body=_form(text), headers=_IMAGE),
        Question(name="slow", target="/images/fit/32", body=_form(slow), headers=_IMAGE),
        Question(
            name="post",
            target="/text/render_markdown",
            body=json.dumps({"text": post}).encode(),
            headers=_JSON,
            share=3,
        ),
        Question(name="preview", target="/links/preview", body=page, headers=_JSON, share=2),
    ]


def _form(file: Path) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
    return head.encode() + file.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def essence(status: int, content_type: str, body: bytes) -> Essence:
    """What two answers to the same question have in common."""
    is_json = content_type.startswith("application/json")
    members = json.loads(body) if is_json else {}
    if status >= 400:
        return status, str(members.get("code"))
    if is_json:
        kept = {name: value for name, value in members.items() if name not in _PASSING}
        body = json.dumps(kept, sort_keys=True).encode()
    return status, hashlib.sha256(body).hexdigest()


def learn(port: int, asked: Sequence[Question]) -> dict[str, Essence]:
    """What the service answers directly, by the questions' names. Raises SystemExit for a 5xx."""
    learnt = {}
    for question in asked:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", question.target, question.body, dict(question.headers))
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status >= 500:
            raise SystemExit(f"{question.name} is answered {response.status} directly: {body[:500]!r}")
        learnt[question.name] = essence(response.status, response.getheader("Content-Type", ""), body)
    return learnt
