"""A page as one HTML file: it makes no request, and nothing from outside runs in it."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from hashlib import sha256
from typing import Any

from markupsafe import Markup

from queries.page.contents import Page
from queries.page.look import environment, resource, stylesheet
from queries.page.periods import spelled
from queries.page.wording import VERDICTS
from registry.people.answers import FORMAT


def render_page(page: Page) -> str:
    """The page as HTML.

    Its Content-Security-Policy names the digests of its own script and style, so that no other runs
    even if something were not escaped.
    """
    style = _raw("".join((stylesheet(), resource("page.css"), *_covers(page))))
    script = _raw(resource("page.js"))
    data = {
        "format": FORMAT,
        "registry": page.registry_id,
        "model": page.model_digest,
        "decisions": page.decisions,
        "made": page.made,
    }
    made = environment()
    made.filters.update(machine=_machine, percent=_percent, whole=_whole, tenth=_tenth, day=spelled)
    return made.get_template("page.html").render(
        page=page,
        style=style,
        script=script,
        policy=_policy(style, script),
        data=Markup(_json(data)),
        verdicts=VERDICTS,
        groups=sorted({row.group for row in page.rows}) if page.by else [],
        linked={person.key for person in page.people},
    )


def _policy(style: str, script: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_digest(script)}",
            f"style-src {_digest(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


def _raw(text: str) -> Markup:
    """Our own script or style, which must not end its element."""
    if "</" in text:
        raise ValueError("a script or a style contains '</', which would end its element")
    return Markup(text)


def _covers(page: Page) -> list[str]:
    return [f".c{key}{{background-image:url({picture})}}\n" for key, picture in page.covers.items()]


def _json(value: Any) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _machine(value: float) -> str:
    """A number for sorting; empty if it is not known."""
    return f"{value:.6g}" if math.isfinite(value) else ""


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else "–"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _tenth(value: float) -> str:
    return f"{value:,.1f}"
