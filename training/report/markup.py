"""HTML: text is escaped unless it is `Html` already."""

from collections.abc import Iterable, Sequence
from html import escape
from re import sub

from training.tables import Table


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str) -> Html:
    """One element; `class_` and `data_label` become `class` and `data-label`.

    >>> element("a", "R & D", href='#"x"', class_="k")
    '<a href="#&quot;x&quot;" class="k">R &amp; D</a>'
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{said}>{join(content)}</{name}>")


def slug(text: str) -> str:
    """A name for files and anchors.

    >>> slug("CNN (log-mel) / 1.0")
    'CNN-log-mel-1.0'
    """
    return sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "system"


def terms(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and what they mean."""
    items = (item for name, text in pairs for item in (element("dt", name), element("dd", text)))
    return element("dl", *items)


def join(content: Iterable[str]) -> Html:
    """Pieces one after another, text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def table(content: Table, links: Sequence[str] = ()) -> Html:
    """A table that scrolls where it is wide; `links` are those of its first column."""
    head = element("tr", *(element("th", cell, scope="col") for cell in content.head))
    rows = []
    for number, (first, *cells) in enumerate(content.rows):
        name = element("a", first, href=links[number]) if links else first
        row = element("th", name, scope="row")
        rows.append(element("tr", row, *(element("td", cell) for cell in cells)))
    inner = element(
        "table",
        element("caption", content.caption),
        element("thead", head),
        element("tbody", *rows),
    )
    label = content.caption
    return element("div", inner, class_="wide", tabindex="0", role="region", aria_label=label)


def picture(svg: str, caption: str, name: str) -> Html:
    """A picture with its caption; `name` is the PNG beside the page."""
    about = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    link = element("a", "PNG", href=f"{name}.png")
    text = element("figcaption", caption, " ", link)
    return element("figure", Html(about), text)
