"""What the requests of one server share, and what a page may tell the next one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from registry.core.registry import Registry
from registry.web.access import Guard, Sessions
from registry.web.ingesting import WAIT_OR_STOP, IngestDesk
from registry.web.passwords import Guesses, Password
from registry.web.reviewing import ReviewQueue
from registry.web.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the next page of a session shows once."""

    text: str
    decision: int = 0
    """The decision that it is about, for a button that undoes it; 0: none."""
    is_error: bool = False


class Visits:
    """What is remembered of each session, in memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: dict[str, list[Notice]] = defaultdict(list)
        self._answers: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def tell(self, session: str, notice: Notice) -> None:
        """Show a notice on the next page."""
        with self._lock:
            self._notices[session].append(notice)

    def take_notices(self, session: str) -> list[Notice]:
        """The notices for the page that is being made."""
        with self._lock:
            return self._notices.pop(session, [])

    def answered(self, session: str, decision: int, question: str) -> None:
        """Remember a decision of the review and the path of its question, for undo."""
        with self._lock:
            self._answers[session].append((decision, question))

    def take_answer(self, session: str) -> tuple[int, str] | None:
        """The last decision of the review in this session that was not undone, and its question."""
        with self._lock:
            answers = self._answers[session]
            return answers.pop() if answers else None

    def count_answers(self, session: str) -> int:
        """How many answers of this session stand."""
        with self._lock:
            return len(self._answers[session])


@dataclass(slots=True)
class Site:
    """The parts of a running server."""

    workspace: Workspace
    sessions: Sessions
    desk: IngestDesk
    queue: ReviewQueue
    address: str
    """Of the first page, without a token: `http://127.0.0.1:8000/`."""
    password: Password | None = None
    local_files: bool = True
    """Whether tables may name files of this machine: not where others can reach the server."""
    visits: Visits = field(default_factory=Visits)
    guesses: Guesses = field(default_factory=Guesses)
    guard: Guard | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server stops, so that open streams end."""

    def one_time_address(self) -> str:
        """An address that signs one browser in, once."""
        return f"{self.address}?token={self.sessions.new_token()}"

    def close(self) -> None:
        """End streams, stop an ingest after its current video, and close the registry."""
        self.closing.set()
        self.desk.close()
        self.workspace.close()


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    return cast(Site, request.app.state.site)


@contextmanager
def deciding(request: Request) -> Iterator[Registry]:
    """The registry, for a decision about whole people: a name, a merge, two people, hiding.

    The review takes these into account when it lists its questions, so they are not computed again.
    """
    site = site_of(request)
    with site.workspace.changing() as registry:
        revision = site.workspace.revision
        yield registry
    site.queue.keep(revision)


@contextmanager
def alone(request: Request, advice: str = WAIT_OR_STOP) -> Iterator[Registry]:
    """The registry, for a change that nothing may happen beside.

    Raises `UsageError` with the advice during an ingest.
    """
    site = site_of(request)
    site.desk.refuse_while_running(advice)  # at once: a turn may come only after a video
    with site.workspace.changing() as registry:
        site.desk.refuse_while_running(advice)
        yield registry


def session_of(request: Request) -> str:
    """The secret of the session of a request; empty before signing in."""
    guard = site_of(request).guard
    return "" if guard is None else guard.session_of(request)


def tell(request: Request, text: str, *, decision: int = 0, is_error: bool = False) -> None:
    """Show a notice on the next page of this session."""
    site_of(request).visits.tell(session_of(request), Notice(text, decision, is_error))
