"""The look that all pages share: the stylesheet, the templates, and what templates may call.

`face-registry serve` renders its own templates with this environment's filters and imports the
macros of `marks.html`, so that a verdict or a strip looks the same everywhere.
"""

from __future__ import annotations

from importlib.resources import files

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined

from queries.figures import figure
from queries.page.marks import clock
from registry.terminal import clean, count, short


def stylesheet() -> str:
    """The stylesheet that all pages share (CSS)."""
    return resource("look.css")


def resource(name: str) -> str:
    """A text file that lies beside this module."""
    return (files("queries.page") / name).read_text(encoding="utf-8")


def environment(*loaders: BaseLoader) -> Environment:
    """Templates with everything escaped, in which a name that does not exist is an error.

    Args:
        loaders: of templates beside those in `queries/page/templates`; they are searched first.
    """
    own = PackageLoader("queries.page", "templates")
    made = Environment(
        loader=ChoiceLoader([*loaders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(figure=figure, clock=clock, count=count, short=short, clean=clean)
    return made
