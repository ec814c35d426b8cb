"""HTML that is well-formed XML too."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape


def element(name: str, /, *inside: str, **attributes: str) -> str:
    """An element around markup; ``class_`` stands for class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    if not inside and name in ("img", "meta", "br"):
        return f"<{name}{written} />"
    return f"<{name}{written}>{''.join(inside)}</{name}>"


def text(value: object) -> str:
    """Text as markup."""
    return escape(str(value), quote=False)


def table(headings: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of (class, cells); the first cell of a row is its heading."""
    head = element("tr", *(element("th", text(heading), scope="col") for heading in headings))
    body = []
    for kind, (first, *others) in rows:
        cells = [element("th", text(first), scope="row")]
        cells += [element("td", text(cell)) for cell in others]
        body.append(element("tr", *cells, class_=kind))
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="wide")


def picture(svg: bytes, description: str) -> str:
    """A picture inside the page."""
    return element("img", src=data_url("image/svg+xml", svg), alt=description)


def data_url(kind: str, content: bytes) -> str:
    """Content as a link that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
