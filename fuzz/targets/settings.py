"""Settings: any environment gives settings that read back the same, or says what is wrong with it."""

from remote_worker import settings
from remote_worker.settings.table import TABLE

from ..choices import Choices

VALUES = (
    "0",
    "1",
    "on",
    "off",
    "8MiB",
    "30 MiB",
    "1GiB",
    "0.5",
    "1e3",
    "9" * 18,
    "127.0.0.1",
    "::1",
    "a,b",
    "-1",
)


def read_back(data: bytes) -> None:
    """What `effective` shows of settings gives the same settings again."""
    choices = Choices(data)
    rows = TABLE
    environment = {}
    for _ in range(choices.number(0, 6)):
        name = choices.one_of(rows).name if choices.number(0, 9) else "REMOTE_" + choices.text(12)
        environment[name] = choices.text(24) if choices.flag() else choices.one_of(VALUES)
    try:
        read = settings.read(environment)
    except settings.BadSettings as bad:
        assert bad.problems and all(bad.problems)
        return
    again = settings.read(dict(settings.effective(read)))
    assert again == read, (again, read)
