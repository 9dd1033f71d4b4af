"""What the pages show and change, without a browser: each does what its command does."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pandas as pd
import pytest

from queries.report import report
from registry.core import contract as contracts
from registry.core import retention
from registry.core.decisions import DecisionKind, in_effect
from registry.core.exports import load_exports
from registry.core.opening import open_registry, open_snapshot
from registry.core.registry import Registry
from registry.domain import ModelInfo
from registry.errors import RegistryLocked
from registry.people import joining
from registry.settings import load_settings
from registry.urls import Url
from tests.support.factories import picture
from tests.support.page_server import Pages, serve_pages
from tests.support.registries import new_registry, who
from tests.support.takes import DIMENSION, Shot, Take, recorded
from tests.web.conftest import VIDEOS


def kinds(registry: Registry) -> list[str]:
    return [str(one.kind) for one in in_effect(registry.decisions.entries())]


def test_everybody_is_shown_with_the_numbers_of_the_report(
    client: httpx.Client, registry: Registry
) -> None:
    text = client.get("/").text
    table = report(registry)
    assert text.count('class="card person"') == len(table)
    for row in table.to_dict(orient="records"):
        assert f"/people/{row['identity']}" in text
    assert "Views" in client.get("/?metric=Views").text
    assert client.get("/?sort=nothing").status_code == 400
    assert client.get("/?metric=Nothing").status_code == 400


def test_people_are_searched_by_name_and_id(client: httpx.Client, registry: Registry) -> None:
    one = who(registry, VIDEOS[0])
    client.post(f"/people/{one}/name", data={"name": "Zoë  Müller"})
    for query in ("zoe", "MULLER", one[:6]):
        assert client.get("/", params={"q": query}).text.count('class="card person"') == 1
    assert "Nobody is named like that" in client.get("/", params={"q": "nobody"}).text


def test_a_person_has_every_video_track_and_face(client: httpx.Client, registry: Registry) -> None:
    one = who(registry, VIDEOS[0])
    text = client.get(f"/people/{one[:8]}").text
    faces = list(registry.index.faces_of(one))
    assert all(f"/{face.crop}" in text for face in faces)
    assert all(f'value="{face.video_id}:{face.track}"' in text for face in faces)
    assert "a.mp4" in text
    assert client.get("/people/00000000").status_code == 404


def test_a_split_takes_tracks_and_faces(client: httpx.Client, registry: Registry) -> None:
    one = who(registry, VIDEOS[0])
    face = VIDEOS[0].faces[1].face_id
    page = client.post(f"/people/{one}/split", data={"face": [face]})
    new = who(registry, VIDEOS[0], 1)
    assert new != one
    assert page.url.path == f"/people/{new}"
    assert "1 face was split off" in page.text
    nothing = client.post(f"/people/{one}/split", data={"back": f"/people/{one}"})
    assert "Select the tracks or faces" in nothing.text


def test_what_speaks_against_a_merge_is_shown_first(
    client: httpx.Client, registry: Registry
) -> None:
    pair = [who(registry, VIDEOS[0]), who(registry, VIDEOS[3])]
    for number, key in enumerate(pair):
        client.post(f"/people/{key}/name", data={"name": f"Person {number} of two"})
    asked = client.post("/people/merge", data={"person": pair})
    assert "different names" in asked.text
    assert "merge" not in kinds(registry)
    client.post("/people/merge", data={"person": pair, "sure": "yes"})
    assert kinds(registry)[-1] == "merge"


def test_who_is_hidden_is_left_out_and_comes_back_by_undo(
    client: httpx.Client, registry: Registry
) -> None:
    one = who(registry, VIDEOS[0])
    page = client.post("/people/hide", data={"person": one, "back": "/"})
    assert f"/people/{one}" not in page.text
    assert "1 person is hidden now" in page.text
    assert f"/people/{one}" in client.get("/?left_out=1").text
    number = registry.decisions.entries()[-1].number
    assert f"/decisions/{number}/undo" in client.get(f"/people/{one}").text
    page = client.post(f"/decisions/{number}/undo", data={"back": "/"})
    assert f"/people/{one}" in page.text


def test_the_review_asks_what_is_suggested(client: httpx.Client, registry: Registry) -> None:
    suggestions = joining.suggest(registry)
    page = client.get("/review?order=likeness")
    assert page.url.path == "/review/{}/{}".format(
        *(one.identity_id for one in (suggestions[0].stays, suggestions[0].joins))
    )
    assert f"of {len(suggestions)}" in page.text
    assert f"Alike {suggestions[0].similarity:.2f} on average" in page.text
    assert "If they are the same" in page.text
    assert "Performance" in page.text
    answered = client.post(f"{page.url.path}/answer", data={"answer": "yes"})
    assert "That is not an answer" in answered.text


def test_every_answer_is_a_decision_until_nothing_is_left(
    client: httpx.Client, registry: Registry
) -> None:
    page = client.get("/review")
    while page.url.path != "/review":
        page = client.post(f"{page.url.path}/answer", data={"answer": "different"})
    assert "Nothing to review" in page.text
    assert set(kinds(registry)) == {"separate"}
    while kinds(registry):
        page = client.post("/review/undo", data={"back": "/review"})
    assert "Is this the same person" in page.text
    skipped = page
    while skipped.url.path != "/review":
        skipped = client.post(f"{skipped.url.path}/answer", data={"answer": "skip"})
    assert "skipped" in skipped.text
    assert kinds(registry) == []


def test_a_skipped_question_does_not_compute_the_questions_again(
    client: httpx.Client, pages: Pages, registry: Registry
) -> None:
    asked = client.get("/review").url.path
    assert pages.site.queue.prepare(0), "the questions are known"
    data = {"answer": "skip"}
    client.post(f"{asked}/answer", data=data, follow_redirects=False)
    assert pages.site.queue.prepare(0)
    assert kinds(registry) == []


def test_decisions_on_other_pages_do_not_compute_the_questions_again(
    client: httpx.Client, pages: Pages, registry: Registry
) -> None:
    asked = client.get("/review").url.path
    stays, joins = asked.split("/")[2:]
    queue = pages.site.queue
    client.post(f"/people/{stays}/name", data={"name": "Somebody"})
    assert queue.prepare(0), "the questions are known"
    assert "Somebody" in client.get(asked).text
    client.post(f"/people/{stays}/separate", data={"other": joins, "back": "/"})
    assert queue.prepare(0)
    following = client.get("/review").url.path
    assert following != asked
    client.post("/people/merge", data={"person": following.split("/")[2:], "sure": "yes"})
    assert kinds(registry) == ["name", "separate", "merge"]
    assert queue.prepare(0)
    assert client.get("/review").url.path not in (asked, following)


def test_pairs_that_are_certain_are_joined_as_one_decision(
    client: httpx.Client, registry: Registry
) -> None:
    page = client.post("/review/join")
    assert kinds(registry) == ["consolidate"]
    assert "as one decision" in page.text


def test_videos_have_strips_and_failures_a_reason(client: httpx.Client, registry: Registry) -> None:
    text = client.get("/videos").text
    assert text.count('class="card video"') == len(VIDEOS)
    assert text.count('role="img"') >= len(VIDEOS)
    assert client.get("/videos?find=a.mp4").text.count('class="card video"') == 1
    assert "No video is like that" in client.get("/videos?status=failed").text
    one = client.get(f"/videos/{VIDEOS[0].video_id}?t=1.5").text
    assert "https://example.com/a.mp4#t=0.0" in one  # moments open on the web
    assert "<video" not in one


def test_a_moment_on_a_video_site_opens_as_its_player_takes_it(tmp_path: Path) -> None:
    url = Url("https://www.youtube.com/watch?v=abcdefghijk")
    faces = tuple(replace(face, time_s=face.time_s + 12.5) for face in VIDEOS[1].faces)
    media = replace(VIDEOS[1].media, duration_s=20.0)
    of_site = replace(VIDEOS[1], url=url, faces=faces, media=media)
    with (
        new_registry(tmp_path / "site", of_site) as registry,
        serve_pages(registry) as pages,
        pages.client() as client,
    ):
        shown = client.get(f"/videos/{of_site.video_id}").text
        assert f'href="{url.exposed()}&amp;t=12s"' in shown


def test_videos_are_joined_and_separated(client: httpx.Client, registry: Registry) -> None:
    first, second = VIDEOS[0].video_id, VIDEOS[1].video_id
    client.post(f"/videos/{first}/join", data={"other": second})
    assert registry.view.same_as == {second: first}
    assert "counts as a.mp4" in client.get("/videos").text
    client.post(f"/videos/{first}/separate", data={"other": VIDEOS[2].video_id})
    assert kinds(registry)[-1] == "separate_videos"


def test_the_log_and_the_table_as_of_any_decision(client: httpx.Client, registry: Registry) -> None:
    pair = [who(registry, VIDEOS[0]), who(registry, VIDEOS[1])]
    client.post("/people/merge", data={"person": pair, "sure": "yes"})
    number = registry.decisions.entries()[-1].number
    text = client.get("/decisions").text
    assert f'action="/decisions/{number}/undo"' in text
    before, after = (client.get(f"/decisions/{n}").text for n in (number - 1, number))
    assert before.count("<tr>") == after.count("<tr>") + 1
    assert client.get(f"/decisions/{number + 1}").status_code == 404
    assert client.get("/decisions?before=1").status_code == 200


def test_the_tables_to_download_are_those_of_the_command(
    client: httpx.Client, registry: Registry
) -> None:
    table = pd.read_csv(io.StringIO(client.get("/downloads/influencer_performance.csv").text))
    assert list(table["identity"]) == list(report(registry)["identity"])
    book = openpyxl.load_workbook(io.BytesIO(client.get("/downloads/face-registry.xlsx").content))
    assert book.sheetnames == ["people", "appearances", "videos"]
    assert (
        "attachment" in client.get("/downloads/face-registry.xlsx").headers["content-disposition"]
    )
    assert {one.kind for one in load_exports(registry.blobs)} >= {"csv", "excel"}


def test_answers_of_a_report_page_become_decisions(
    client: httpx.Client, registry: Registry
) -> None:
    pair = [who(registry, VIDEOS[0]), who(registry, VIDEOS[1])]
    body: dict[str, Any] = {
        "format": "face-registry answers 1",
        "registry": registry.contract.registry_id,
        "model": registry.contract.model.digest,
        "decisions": len(registry.decisions.entries()),
        "answers": [{"first": pair[0], "second": pair[1], "answer": "different"}],
    }
    sent = client.post(
        "/decisions/answers", files={"answers": ("answers.json", json.dumps(body).encode())}
    )
    assert "1 decision to make" in sent.text
    action = re.findall(r"/decisions/answers/[0-9a-f]+", sent.text)[0]
    client.post(action)
    assert kinds(registry)[-1] == "separate"
    wrong = client.post("/decisions/answers", files={"answers": ("a.json", b"{}")})
    assert "is not a file of answers" in wrong.text
    assert str(registry.settings.home) not in wrong.text
    gone = client.post(f"/decisions/answers/{32 * '0'}")
    assert "The file is not here any more. Send it again." in gone.text


def test_a_table_that_leaves_a_question_asks_it(client: httpx.Client) -> None:
    table = b"Video URL,Performance\nhttps://example.com/x.mp4,1.250\n"
    asked = client.post("/ingest", files={"table": ("week.csv", table)})
    assert asked.status_code == 422
    assert "can be read in several ways" in asked.text
    action = re.findall(r'action="(/ingest/[0-9a-f]{32})"', asked.text)[0]
    planned = client.post(action, data={"decimal": "."})
    assert "1 new video to read" in planned.text
    assert "https://example.com/x.mp4" in planned.text


def test_a_table_that_cannot_be_used_says_why_and_shows_no_path_of_the_server(
    client: httpx.Client, registry: Registry
) -> None:
    for body in (b"", b"\0\1\2", b"Link,Views\nhttps://example.com/x.mp4,1\n"):
        answer = client.post("/ingest", files={"table": ("../../week.csv", body)})
        assert answer.status_code in (200, 422)
        assert str(registry.settings.home) not in answer.text
    assert client.post("/ingest/unknown/start").url.path == "/"


def test_a_person_is_erased_after_a_look_at_what_goes(tmp_path: Path) -> None:
    with (
        new_registry(tmp_path / "erasing", *VIDEOS) as registry,
        serve_pages(registry) as pages,
        pages.client() as client,
    ):
        one = who(registry, VIDEOS[0])
        asked = client.post(f"/people/{one}/forget")
        assert "would be removed for good" in asked.text
        assert registry.identity(one).identity_id == one
        video = VIDEOS[3].video_id
        assert "would be removed for good" in client.post(f"/videos/{video}/remove").text
        removed = client.post(f"/videos/{video}/remove", data={"sure": "yes"})
        assert "Erased for good" in removed.text
        assert registry.index.video(video) is None


def test_while_another_process_writes_the_pages_show_what_is_committed(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "used")
    used = new_registry(settings.home, *VIDEOS[:2])
    snapshot = open_snapshot(settings)

    def reopen() -> Registry:
        try:
            return open_registry(settings)
        except RegistryLocked:
            return open_snapshot(settings)

    with serve_pages(snapshot, reopen=reopen) as pages, pages.client() as client:
        one = who(used, VIDEOS[0])
        assert "Another process uses the registry" in client.get("/").text
        refused = client.post(f"/people/{one}/name", data={"name": "Ann"})
        assert "can only be read here" in refused.text
        assert client.put(f"/api/people/{one}/name", json={"name": "Ann"}).status_code == 409
        used.name(one, "Bea")
        assert "Bea" not in client.get("/").text
        assert "Bea" in client.post("/refresh", data={"back": "/"}).text
        used.close()
        page = client.post("/refresh", data={"back": "/"}).text
        assert "Another process" not in page
        client.post(f"/people/{one}/name", data={"name": "Ann"})
        assert "Ann" in client.get("/").text


def test_pages_answer_side_by_side_while_a_change_waits(pages: Pages, registry: Registry) -> None:
    """A reader that takes long holds up a change, and not other readers before it."""
    workspace = pages.site.workspace
    with workspace.reading(), workspace.reading() as shared:
        assert shared is registry
    with pages.client() as one, pages.client() as other:
        assert one.get("/").status_code == other.get("/").status_code == 200


@pytest.mark.parametrize("kind", [DecisionKind.NAME, DecisionKind.HIDE])
def test_undo_of_each_kind_is_on_the_page_of_the_log(
    client: httpx.Client, registry: Registry, kind: DecisionKind
) -> None:
    one = who(registry, VIDEOS[0])
    if kind is DecisionKind.NAME:
        client.post(f"/people/{one}/name", data={"name": "Ann"})
    else:
        client.post("/people/hide", data={"person": one})
    number = registry.decisions.entries()[-1].number
    page = client.post(f"/decisions/{number}/undo", data={"back": "/decisions"})
    assert f"no: undone by {number + 1}" in page.text


def test_metrics_and_the_retention_period_are_set(client: httpx.Client, registry: Registry) -> None:
    text = client.get("/registry").text
    assert "Views" in text
    client.post("/registry/metrics", data={"metric": "Views"})
    assert registry.contract.primary_metric == "Views"
    client.post("/registry/metrics", data={"metric": "Performance"})
    renamed = client.post("/registry/metrics", data={"metric": "Views", "name": "Plays"})
    assert "Views is Plays now, in 1 video" in renamed.text
    client.post("/registry/metrics", data={"metric": "Plays", "name": "Views"})
    client.post("/registry/retention", data={"days": "30"})
    assert retention.days(registry.blobs) == 30
    assert "is not a number of days" in client.post("/registry/retention", data={"days": "x"}).text
    client.post("/registry/retention", data={"days": ""})
    assert retention.days(registry.blobs) is None


def test_videos_of_the_same_footage_are_shown_and_joined(tmp_path: Path) -> None:
    take = Take(1)
    whole = recorded("whole", [Shot(take, 0, 30)], 100)
    part = recorded("part", [Shot(take, 8, 12)], 7, seed=1, first=0.1)
    with open_registry(load_settings(home=tmp_path / "copies")) as registry:
        model = ModelInfo("takes", "d" * 64, DIMENSION, 0.4)
        contract = contracts.new(model, "takes", threshold=0.85, every=10, primary_metric="Views")
        registry.establish(contract)
        with registry.writing():
            for video in (whole, part):
                for face in video.faces:
                    registry.blobs.put(face.crop, picture(face.crop))
                registry.commit(video)
        with serve_pages(registry) as pages, pages.client() as client:
            page = client.get("/videos/copies").text
            assert "1 pair of videos that are likely the same footage" in page
            action = re.findall(r'action="(/videos/[0-9a-f-]+/join)"', page)[0]
            other = re.findall(r'name="other" value="([0-9a-f-]+)"', page)[0]
            client.post(action, data={"other": other})
            assert "No two videos look like" in client.get("/videos/copies").text
