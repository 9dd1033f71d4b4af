"""What a page does not show: secrets of URLs always; names, faces and URLs where this is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import quote, unquote, urlsplit

from registry.terminal import clean
from registry.urls import Url, redacted

NAMES, FACES, URLS = "names", "faces", "urls"
REDACTIONS = (NAMES, FACES, URLS)
HIDDEN = "***"
_BETWEEN = r"(?:[\s_+.,'-]|%20)*"
"""What may stand between the words of a name in a file name or a URL."""
_SHORT = 4
"""Characters of a name below which it is hidden only as a whole word: `Al` is in `Alpine`."""
_SHORTEST_PART = 4
"""Characters of a part of a URL below which the part alone is not taken for the URL."""
_ADDRESS = re.compile(r"[\w.+-]+:/\S+")
_WORD = re.compile(r"[^\s\"'`<>()\[\],;]+")


class Redaction:
    """Removes from text what a page is not to show."""

    def __init__(self, what: Collection[str], names: Iterable[str], urls: Iterable[Url]) -> None:
        """Prepare to hide `what`, of `REDACTIONS`, given the names and URLs of the registry."""
        self.names, self.faces, self.urls = (one in what for one in REDACTIONS)
        self._names = _any_name(names) if self.names else None
        self._parts = _parts(urls) if self.urls else frozenset()

    def name(self, name: str) -> str:
        """The name of a person as it may be shown; empty if names are hidden."""
        return "" if self.names else clean(name)

    def text(self, text: object) -> str:
        """Text from outside as it may be shown: a title, a reason, a value of an attribute."""
        shown = clean(str(text))
        if "://" in shown:
            shown = redacted(shown, None)
        if self.urls:
            shown = _ADDRESS.sub(HIDDEN, shown)
            shown = _WORD.sub(self._without_parts, shown)
        return self._names.sub(HIDDEN, shown) if self._names else shown

    def address(self, url: Url) -> str:
        """A URL as it may be shown; empty if URLs are hidden. What is hidden in it is `***`."""
        return "" if self.urls else self.text(url.redacted(None))

    def link(self, url: Url) -> str:
        """A URL to link to; empty for one that is no web address, or that has hidden parts."""
        whole = url.exposed()
        if not re.match(r"https?://[^\s/]", whole, re.IGNORECASE):
            return ""
        return whole if self.address(url) == whole else ""

    def _without_parts(self, match: re.Match[str]) -> str:
        word = match[0].strip(".:!?").casefold()
        known = word in self._parts or word.partition(":")[0] in self._parts
        return HIDDEN if known else match[0]


def _any_name(names: Iterable[str]) -> re.Pattern[str] | None:
    """Matches every name, however it is written in a file name; None if there are no names."""
    found = set()
    for name in sorted({name for name in names if name}, key=len, reverse=True):
        for words in ([*map(re.escape, name.split())], [re.escape(quote(w)) for w in name.split()]):
            pattern = _BETWEEN.join(words)
            found.add(rf"(?<!\w){pattern}(?!\w)" if len(name) < _SHORT else pattern)
    longest_first = sorted(found, key=lambda one: (-len(one), one))
    return re.compile("|".join(longest_first), re.IGNORECASE) if found else None


def _parts(urls: Iterable[Url]) -> frozenset[str]:
    """Hosts and parts of paths by which a URL is known, in lower case."""
    parts = set()
    for url in urls:
        whole = url.exposed()
        try:
            split = urlsplit(whole)
        except ValueError:
            parts.add(whole.casefold())
            continue
        last = split.path.rstrip("/").rpartition("/")[2]
        shown = (whole, url.redacted(None), split.hostname or "", split.path, last)
        parts |= {one.casefold() for text in shown for one in (text, unquote(text))}
        parts |= {value.casefold() for value in re.findall(r"=([^&=#]+)", split.query)}
    return frozenset(part for part in parts if len(part) >= _SHORTEST_PART)
