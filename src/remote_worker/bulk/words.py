"""Numbers, times and strangers' texts as people read them."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SHOWN = 160


def plain(text: str, most: int = _SHOWN) -> str:
    """On one line, without anything that moves a terminal's cursor or turns the direction of writing."""
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: most + 1]
    )
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def in_bytes(count: float) -> str:
    """`999 B`, `1.5 MB`: thousands, as disks and bills count."""
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} {_UNITS[-1]}"


def in_time(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for size, name, below, below_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {below_name}" if rest else "")
    return f"{whole} s"


def in_milliseconds(milliseconds: float) -> str:
    """`0.3 ms`, `12 ms`, `1.5 s`, `3 min 20 s`."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 59_950 else in_time(milliseconds / 1000)
