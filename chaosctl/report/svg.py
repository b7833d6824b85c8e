"""SVG as text: elements with escaped attributes. Colours come from the page's style sheet, by class."""

from __future__ import annotations

from html import escape

Value = str | float


def element(name: str, *children: str, **attributes: Value) -> str:
    """An element; `class_` is class, and other underscores are dashes. Numbers are rounded to hundredths."""
    text = "".join(f' {key.rstrip("_").replace("_", "-")}="{_shown(v)}"' for key, v in attributes.items() if v != "")
    return f"<{name}{text}>{''.join(children)}</{name}>" if children else f"<{name}{text}/>"


def text(words: str, **attributes: Value) -> str:
    """Text; it is escaped."""
    return element("text", escape(words), **attributes)


def title(words: str) -> str:
    """What a pointer that rests on the element's parent shows, and what a screen reader says of it."""
    return element("title", escape(words))


def _shown(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(str(value))
