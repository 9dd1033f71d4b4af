"""Threads that work on the parts of one video side by side; the results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """How many threads may work at a time, which changes while they do."""

    now: Callable[[], int]
    """How many may work now."""
    most: int
    """What `now` never exceeds."""


class OrderedThreads:
    """As many threads as may work now; where it is one, the caller's."""

    def __init__(self, limit: ThreadLimit | None = None) -> None:
        """None: always one."""
        self._limit = limit or ThreadLimit(lambda: 1, 1)
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Wait for what is running, and drop what is not."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """What `function` makes of each item, in order.

        Items are taken ahead of the results: one for each thread that may work.
        """
        ahead: deque[Future[R]] = deque()
        for item in items:
            number = max(1, self._limit.now())
            if number == 1 and not ahead:
                yield function(item)
                continue
            ahead.append(self._submit(function, item))
            while len(ahead) > (number if number > 1 else 0):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._limit.most, "model")
        return self._threads.submit(function, item)
