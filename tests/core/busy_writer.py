"""Changes a registry again and again, and notes each state that it commits.

python -m tests.core.busy_writer HOME LOG ENOUGH
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from registry.core.decisions import Decision, DecisionKind, in_effect
from registry.core.registry import Registry
from registry.people.corrections import undo
from tests.support import registries
from tests.support.factories import person, video


def state_of(registry: Registry) -> str:
    """A digest of all videos and identities as a registry shows them."""
    index = registry.index
    shown = [
        [dict(point.payload) for point in index.stored_videos()],
        [dict(point.payload) for point in index.stored_identities()],
    ]
    for payload in shown[0]:
        payload.pop("registry_id")
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def _change(registry: Registry, number: int, rng: np.random.Generator) -> None:
    """One change, of a kind that depends on its number."""
    videos = list(registry.index.video_ids())
    people = [one.identity_id for one in registry.index.identities()]
    some = str(rng.choice(videos)) if videos else ""
    changes: list[Callable[[], object]] = [
        lambda: registries.set_metrics(registry, some, {"Performance": float(number)}),
        lambda: registry.name(str(rng.choice(people)), f"Person number {number}"),
        lambda: registry.decide(
            Decision(0, DecisionKind.MERGE, people[0], others=(str(rng.choice(people[1:])),))
        ),
        lambda: undo(registry) if in_effect(registry.decisions.entries()) else None,
        lambda: registries.put(registry, video("again", [person(number % 5, 0.2 * rng.random())])),
        lambda: registry.remove_videos([some]),
    ]
    if number % 2 and len(people) > 2 and len(videos) > 5:
        changes[number // 2 % len(changes)]()
    else:
        faces = [person(int(who), 0.3 * rng.random()) for who in rng.choice(6, 3)]
        registries.put(registry, video(f"video-{number}", faces))


def main(home: Path, log: Path, enough: Path) -> None:
    """Change the registry until the file `enough` exists. Each line of the log is a state."""
    rng, number = np.random.default_rng(0), 0
    with registries.new_registry(home) as registry, log.open("w") as states:
        while not enough.exists():
            print(state_of(registry), file=states, flush=True)
            _change(registry, number, rng)
            number += 1
        print(state_of(registry), file=states, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
