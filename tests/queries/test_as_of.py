"""A report as of an earlier decision is the report that was made then."""

from __future__ import annotations

import pandas as pd
import pytest

from queries.averages import averages
from queries.documents import decision_documents, report_head
from registry.core.registry import Registry
from registry.errors import UnknownError
from registry.people import joining
from registry.people.corrections import FaceSelection, merge, split, undo
from tests.queries.conftest import VIDEOS, put
from tests.support.factories import person, video
from tests.support.registries import who


def test_every_earlier_report_can_be_made_again(registry: Registry) -> None:
    a, _, c, _ = VIDEOS
    reports = [averages(registry)]

    def keep() -> None:
        reports.append(averages(registry))

    registry.name(who(registry, a), "Ann")
    keep()
    merge(registry, ["Ann", who(registry, c, 1)])
    keep()
    split(registry, "Ann", FaceSelection(videos=("https://example.com/b.mp4",)))
    keep()
    undo(registry, 2)
    keep()
    joining.consolidate(registry)
    undo(registry, 1)
    keep()
    for number, report in enumerate(reports[:5]):
        pd.testing.assert_frame_equal(averages(registry, as_of=number), report)
    last = len(registry.decisions.entries())
    pd.testing.assert_frame_equal(averages(registry, as_of=last), reports[-1])


def test_faces_that_followed_a_later_split_are_where_they_would_have_been(
    registry: Registry,
) -> None:
    c = VIDEOS[2]
    identity = who(registry, c)
    split(registry, identity, FaceSelection(videos=(c.url.exposed(),)))
    put(registry, video("later", [person(1, 0.1)], metrics={"Views": 500.0}))
    table = averages(registry, as_of=0).set_index("identity")
    assert table.loc[identity, "videos"] == 3
    assert len(table) == 3


def test_a_decision_that_is_not_there_is_said(registry: Registry) -> None:
    with pytest.raises(UnknownError, match=r"no decision 3.*--decisions"):
        averages(registry, as_of=3)


def test_the_head_of_a_report_counts_likely_duplicates_now(registry: Registry) -> None:
    put(registry, video("e", [person(2, 0.9)]))
    assert report_head(registry, None)["likely_duplicates"] == 1
    assert report_head(registry, 0)["likely_duplicates"] is None


def test_the_log_as_documents_says_who_when_and_what_counts(registry: Registry) -> None:
    a, c = who(registry, VIDEOS[0]), who(registry, VIDEOS[2], 1)
    merge(registry, [a, c])
    split(registry, a, FaceSelection(videos=("https://example.com/b.mp4",)))
    undo(registry, 1)
    merged, parted, undone = decision_documents(registry.decisions.entries())
    assert (merged["counts"], merged["undone_by"]) == (False, 3)
    assert merged["text"] == f"{c[:8]} joined {a[:8]}"
    assert merged["at"].endswith("+00:00")
    assert parted["text"].startswith(f"1 faces of {a[:8]} are {parted['new_identity'][:8]}")
    assert (undone["undoes"], undone["text"]) == (1, "decision 1 does not count")
