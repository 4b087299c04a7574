"""Tags with attributes as they leave, in the style of v2ex/remote: attributes in alphabetical order."""

from ..contract.markup import ELEMENTS, VOID

BOX = '<input disabled="" type="checkbox"/>'
"""One that cannot be ticked; any other input would be part of a form."""
PLAIN = {tag: tag for name in ELEMENTS - VOID for tag in (f"<{name}>", f"</{name}>")}
"""Tags that stay as they are."""
LINE, RULE = "<br/>", "<hr/>"


def link(address: str | None, *, alt: str | None = None, title: str | None = None) -> str:
    """The start of a link. What is given is escaped, the address looked at."""
    lead = ""
    if address is not None:
        rel = "" if address[:7].lower() == "mailto:" else ' rel="nofollow"'
        lead = f' href="{address}"{rel}'
    return f"<a{_given('alt', alt)}{lead}{_given('title', title)}>"


def image(address: str | None, *, alt: str | None = None, title: str | None = None) -> str:
    """A picture. What is given is escaped, the address looked at."""
    source = "" if address is None else f' src="{address}"'
    return (
        f'<img{_given("alt", alt)} class="embedded_image" loading="lazy" '
        f'referrerpolicy="no-referrer" rel="noreferrer"{source}{_given("title", title)}/>'
    )


def _given(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{value}"'
