"""Text for a page: everything is escaped unless this module made it."""

from __future__ import annotations

import html
import re
import unicodedata

# Letters that turn the direction of what follows would show another text than the one stored.
TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LONGEST_TEXT = 1_500
VOID = frozenset({"meta", "br", "line", "rect", "circle", "path"})


class Markup(str):
    """Text that is markup already; only `element` and `joined` make it."""

    __slots__ = ()


def element(name: str, attributes: dict[str, str] | None = None, *inside: str | None) -> Markup:
    """`<name ...>inside</name>`; plain strings are escaped, None is left out."""
    told = "".join(f' {key}="{escaped(value)}"' for key, value in (attributes or {}).items())
    if name in VOID:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{joined(*inside)}</{name}>")


def joined(*parts: str | None) -> Markup:
    """Parts one after the other, each escaped and cut to a bounded length unless it is markup."""
    return Markup(
        "".join(part if isinstance(part, Markup) else escaped(cut(part)) for part in parts if part)
    )


def cut(text: str) -> str:
    """A text of bounded length: a page must open, whatever somebody wrote into a reason."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} [...]"


def escaped(text: str) -> str:
    """What cannot be taken for markup, nor for other text than it is."""
    return html.escape(visible(text), quote=True)


def visible(text: str) -> str:
    """Text without letters that a page or a terminal would obey."""
    named = TURNING.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
    return "".join(
        "�" if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" else letter
        for letter in named
    )
