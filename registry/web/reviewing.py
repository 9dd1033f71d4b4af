"""The questions of the review: which two identities may be one person, in which order.

Suggestions take a pass over all faces, so they are made once, in the background. Answers are taken
into account by what people decided since: a pair that was merged, separated or hidden is no longer
a question, and is one again after undo.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from queries.identity_effects import effects
from registry.core.registry import Registry
from registry.domain import Identity
from registry.people.joining import Suggestion
from registry.web.workspace import Workspace

ORDERS = {"effect": "Most effect first", "likeness": "Most alike first"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two identities by their present ids, and why they may be one person."""

    stays: str
    joins: str
    suggestion: Suggestion


class ReviewQueue:
    """The questions of one registry."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._suggestions: tuple[Suggestion, ...] | None = None
        self._made_at = -1
        self._making: threading.Thread | None = None
        self._error: Exception | None = None
        self._is_exact = True
        self._known = 0

    def prepare(self, wait_s: float) -> bool:
        """Look for suggestions if the registry changed since the last time.

        Returns whether they are known now; if not, they are still being made after `wait_s`.
        Raises what making them raised.
        """
        with self._lock:
            if self._made_at == self._workspace.revision:
                return True
            if self._making is None:
                self._making = threading.Thread(target=self._make, name="suggest", daemon=True)
                self._making.start()
            making = self._making
        making.join(wait_s)
        with self._lock:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return self._making is None

    def open(self, registry: Registry, order: str) -> list[Pair]:
        """The questions that nobody has answered, in an order of `ORDERS`."""
        view, seen, pairs = registry.view, set[frozenset[str]](), []
        for one in self._suggestions or ():
            stays = view.root(one.stays.identity_id)
            joins = view.root(one.joins.identity_id)
            both = frozenset((stays, joins))
            answered = len(both) < 2 or both & view.hidden or view.separated(stays, joins)
            if not answered and both not in seen:
                seen.add(both)
                pairs.append(Pair(stays, joins, one))
        self._known = len(pairs)
        if order == "likeness":  # they are kept by effect
            pairs.sort(key=lambda pair: -pair.suggestion.similarity)
        return pairs

    def keep(self, revision: int) -> None:
        """The change after this revision was an answer, or the undo of one: `open` knows of it."""
        with self._lock:
            if self._made_at == revision:
                self._made_at, self._is_exact = revision + 1, False

    def renew(self) -> bool:
        """Look for suggestions again if there were answers since. Returns whether there were."""
        with self._lock:
            if self._is_exact:
                return False
            self._made_at = -1
            return True

    def known_count(self) -> int:
        """How many questions were open when they were last listed."""
        return self._known

    def _make(self) -> None:
        made: tuple[Suggestion, ...] | None = None
        error: Exception | None = None
        with self._workspace.reading() as registry:
            revision = self._workspace.revision
            try:
                made = () if registry.is_empty else tuple(e.suggestion for e in effects(registry))
            except Exception as exc:  # the request that asks next raises it
                error = exc
        with self._lock:
            self._making, self._error = None, error
            if made is not None:
                self._suggestions, self._made_at = made, revision
                self._is_exact = True


def still_there(registry: Registry, one: str, other: str) -> tuple[Identity, Identity] | None:
    """Two identities by their present ids; None if they are one by now, or one is gone."""
    roots = [registry.view.root(one), registry.view.root(other)]
    known = registry.index.get_identities(sorted(set(roots)))
    if len(known) < 2:
        return None
    return known[roots[0]], known[roots[1]]
