"""What a client would rather have, told from its Accept header."""

from collections.abc import Callable


def wants_picture(accept: str) -> bool:
    """Whether `image/*` or an image type is named, and JSON not preferred; `*/*` means JSON."""
    return _prefers(accept, lambda name: name.startswith("image/") and len(name) > len("image/"))


def wants_json(accept: str) -> bool:
    """Whether JSON is named and no picture preferred, where a picture is what one gets."""
    return "application/json" in accept.lower() and not wants_picture(accept)


def wants_page(accept: str) -> bool:
    """Whether HTML is named, as browsers do, and JSON not preferred."""
    return _prefers(accept, lambda name: name == "text/html")


def wants_parts(accept: str) -> bool:
    """Whether several pictures are to come as the parts of multipart/mixed."""
    return _prefers(accept, lambda name: name == "multipart/mixed")


def wants_problem(accept: str) -> bool:
    """Whether failures are to come as RFC 9457."""
    return _prefers(accept, lambda name: name == "application/problem+json")


def _prefers(accept: str, is_meant: Callable[[str], bool]) -> bool:
    wanted = json = 0.0
    for choice in accept.lower().split(","):
        name, *parameters = (part.strip() for part in choice.split(";"))
        quality = _quality(parameters)
        if is_meant(name):
            wanted = max(wanted, quality)
        elif name == "application/json":
            json = max(json, quality)
    return wanted > 0 and wanted >= json


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0
