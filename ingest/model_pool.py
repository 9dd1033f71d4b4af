"""Copies of a model that work on one video side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TypeVar

from registry.models.base import FaceModel

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class MoreCopies:
    """Where a pool gets further copies of its model, and how many may work at a time."""

    load: Callable[[], FaceModel]
    allowed: Callable[[], int]
    """How many copies may work now, the first one included."""
    most: int
    """What `allowed` never exceeds."""


class ModelPool:
    """Copies of a model, each of which works in a thread; one alone works in the caller's.

    Further copies are loaded when there are processors for them, and released with the pool.
    """

    def __init__(self, model: FaceModel, more: MoreCopies | None = None) -> None:
        """The first copy; `more` is not asked if it uses an accelerator."""
        self._more = more if model.device == "cpu" else None
        self._copies, self._lock = 1, Lock()
        self._idle = SimpleQueue[FaceModel]()
        self._idle.put(model)
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Wait for what is running, and drop what is not."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def map(self, function: Callable[[FaceModel, T], R], items: Iterable[T]) -> Iterator[R]:
        """What `function` makes of each item with one of the copies, in order.

        Items are taken ahead of the results: one for each copy that may work.
        """
        ahead: deque[Future[R]] = deque()
        for item in items:
            number = self._allowed()
            if number == 1 and not ahead:
                yield self._call(function, item)
                continue
            ahead.append(self._submit(function, item))
            while len(ahead) > (number if number > 1 else 0):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _allowed(self) -> int:
        return max(1, self._more.allowed()) if self._more else 1

    def _submit(self, function: Callable[[FaceModel, T], R], item: T) -> Future[R]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._more.most if self._more else 1, "model")
        return self._threads.submit(self._call, function, item)

    def _call(self, function: Callable[[FaceModel, T], R], item: T) -> R:
        model = self._take()
        try:
            return function(model, item)
        finally:
            self._idle.put(model)

    def _take(self) -> FaceModel:
        """A copy that nobody uses; a new one if all are in use and another may work."""
        with suppress(Empty):
            return self._idle.get_nowait()
        if self._more:
            with self._lock:
                load = self._copies < self._allowed()
                self._copies += load
            if load:
                return self._more.load()
        return self._idle.get()
