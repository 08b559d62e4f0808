"""Text from files, made harmless before a terminal sees it. Every view passes it through here, once."""

from __future__ import annotations

import unicodedata


def plain(text: str) -> str:
    """`text` with control, format and surrogate characters (ESC, CR, C1, right-to-left marks) shown as `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else ascii(char)[1:-1]
        for char in text
    )
