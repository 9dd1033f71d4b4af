"""What `doctor` finds out about one part: a verdict, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from registry.errors import RegistryError

Verdict = Literal["ok", "warning", "failed", "fixed"]
FIX = "run `face-registry doctor --fix`"
FIX_DEEP = "run `face-registry doctor --deep --fix`"
"""Where only a deep look finds what is to be mended."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one part."""

    part: str
    verdict: Verdict
    detail: str
    advice: str = ""
    """What to do; empty where there is nothing to be done."""


def attempt(part: str, check: Callable[[], Finding]) -> Finding:
    """What a check found; that it failed, if it raised one of our errors, which say what to do."""
    try:
        return check()
    except RegistryError as exc:
        return Finding(part, "failed", str(exc))


def some(what: Iterable[object]) -> str:
    """The first few of many, and how many more there are."""
    found = [str(each) for each in what]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
