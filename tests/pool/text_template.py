"""The worker's own text template, whose handler of Markdown does what the text tells it.

A text is one command: a word, then its argument. The answer comes as the HTML.
"""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "attacks"))

import attacks

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder import reading, template

DONE_OF_NOTHING = attacks.DONE_OF_NOTHING
held: list[bytes] = []


def obey(_: object, text: bytes) -> reading.Read:
    """Do it, and say what came of it."""
    word, _, argument = text.partition(b" ")
    return COMMANDS[word.decode()](argument)


def said(html: bytes) -> reading.Read:
    return reading.Read(facts={"images": []}, parts={"html": html})


def burn(seconds: bytes) -> reading.Read:
    """Use that much processor time."""
    until = time.process_time() + float(seconds)
    while time.process_time() < until:
        pass
    return said(b"burnt")


def sleep(seconds: bytes) -> reading.Read:
    time.sleep(float(seconds))
    return said(b"rested")


def hold(text: bytes) -> reading.Read:
    """Keep it for later, as a hijacked child would."""
    held.append(text)
    return said(b"held")


def tell(_: bytes) -> reading.Read:
    """All that this child has kept."""
    return said(b" ".join(held))


def fail(code: bytes) -> reading.Read:
    raise WorkFailed(FailureCode(code.decode()))


def surprise(_: bytes) -> reading.Read:
    raise LookupError


def want_memory(size: bytes) -> reading.Read:
    return said(b"%d" % len(bytearray(int(size))))


def answer(raw: bytes) -> reading.Read:
    """Say these bytes, given in hex, and nothing else ever."""
    os.write(3, bytes.fromhex(raw.decode()))
    return sleep(b"3600")


def answer_and_end(raw: bytes) -> reading.Read:
    os.write(3, bytes.fromhex(raw.decode()))
    os._exit(0)


def flood(_: bytes) -> reading.Read:
    while True:
        os.write(3, b"\1\0\0\0" * 20_000)


def talk_later(raw: bytes) -> reading.Read:
    """Answer, and say more when nobody asks."""
    libc = ctypes.CDLL(None)
    os.write(3, bytes.fromhex(raw.decode()))
    libc.usleep(50_000)
    os.write(3, b"more")
    return sleep(b"3600")


def answer_early(raw: bytes) -> reading.Read:
    """Answer, and then the next text once its first byte is there."""
    os.write(3, bytes.fromhex(raw.decode()))
    os.read(3, 1)
    os.write(3, bytes.fromhex(raw.decode()))
    return sleep(b"3600")


def work_later(raw: bytes) -> reading.Read:
    """Answer, and use the processor when nobody asks."""
    os.write(3, bytes.fromhex(raw.decode()))
    return burn(b"3600")


def answer_with(argument: bytes) -> reading.Read:
    """The facts as they are given, and the HTML behind them."""
    import json

    facts, _, html = argument.partition(b"\n")
    parts: dict[str, Any] = {"html": html}
    return reading.Read(facts=json.loads(facts), parts=parts)


def attack(argument: bytes) -> reading.Read:
    name, number, text = argument.decode().split("\n")
    try:
        attacks.ATTACKS[name](int(number), text)
    except OSError:
        return said(b"refused")
    return said(b"HARM")


COMMANDS = {
    "say": said,
    "length": lambda text: said(b"%d" % len(text)),
    "many": lambda length: said(b"m" * int(length)),
    "pid": lambda _: said(b"%d" % os.getpid()),
    "leave": lambda _: os._exit(0),
    "burn": burn,
    "sleep": sleep,
    "hold": hold,
    "tell": tell,
    "fail": fail,
    "surprise": surprise,
    "want_memory": want_memory,
    "answer": answer,
    "answer_and_end": answer_and_end,
    "flood": flood,
    "talk_later": talk_later,
    "work_later": work_later,
    "answer_early": answer_early,
    "answer_with": answer_with,
    "attack": attack,
}


def table() -> dict[str, reading.Handler]:
    return {
        "markdown": reading.Handler(obey, lambda: None),
        "page": reading.Handler(
            lambda task, text: reading.Read(facts={"title": str(len(text))}), lambda: None
        ),
    }


reading.handlers = table

if __name__ == "__main__":
    template.main(int(sys.argv[1]))
