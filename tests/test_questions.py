"""Large steps show what they will do and ask: sessions on a terminal, and without one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from registry import ids
from registry.cli import cli
from registry.copies.backup import backup
from registry.core.opening import open_registry
from registry.errors import UsageError
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry, who
from tests.support.terminal_session import run_on_terminal

PARK = video("park", [person(0), person(1)])
BEACH = video("beach", [person(0, 0.9)])
STREET = video("street", [person(2)])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the home of a registry, and a backup of it; a test must copy it."""
    folder = tmp_path_factory.mktemp("questions")
    with new_registry(folder / "home", PARK, BEACH, STREET) as registry:
        registry.name(who(registry, STREET), "Ann")
        backup(registry, folder / "saved.zip")
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return copy_home(filled, tmp_path / "there")


def session(folder: Path, *arguments: str, answer: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that a terminal shows; folder, times and ids are replaced."""
    words = [word.replace("FOLDER", str(folder)) for word in arguments]
    shown = run_on_terminal(folder / "home", *words, answer=answer, columns=200)
    text = shown.text.replace(str(folder), "FOLDER")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "TIME", text)
    text = re.sub(r"[\d,]+ bytes", "SIZE", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
    for name, one in (("PARK", PARK), ("BEACH", BEACH), ("STREET", STREET)):
        for number, face in enumerate(one.faces):
            text = text.replace(ids.identity_id(face.face_id)[:8], f"{name}-{number}")
    return shown.exit_code, text.splitlines()


FORGET = """\
STREET-0 Ann would be removed for good:
  1 face and picture in 1 video: https://example.com/street.mp4
  the name Ann, everywhere
  The person is recorded again when one of the videos is read again (see --block).
This cannot be undone.
Forget this person? [y/n] (n): """

REMOVE = """\
2 videos with 2 faces would be removed for good:
  https://example.com/beach.mp4
  https://example.com/street.mp4
2 identities are in no other video and would be removed too:
  STREET-0 Ann
  BEACH-0
This cannot be undone.
Remove them? [y/n] (n): """

REMOVE_OLD = """\
3 videos with 4 faces would be removed for good:
  https://example.com/beach.mp4
  https://example.com/park.mp4
  https://example.com/street.mp4
"""

RETENTION = """\
Now: Videos are kept without limit.
Then: Videos are kept for 30 days after they were last read. 3 are older. Run `face-registry \
videos remove --older-than 30` to list them.
It applies to everyone who opens the registry. No video is removed by this.
Change the retention period? [y/n] (n): """

CONSOLIDATE = """\
  BEACH-0 (1 face in 1 video): PARK-0 (1 face in 1 video)
1 identity would join 1 person. `face-registry identities undo` takes it back.
Join them? [y/n] (n): """

BACKUP = """\
FOLDER/saved.zip exists: SIZE, written TIME.
  a backup of TIME: 3 videos, 4 faces, 1 decision
It would be replaced once the new backup is complete.
This cannot be undone.
Replace the file? [y/n] (n): """

RESTORE = """\
The registry in folder FOLDER/home/objects would be replaced. It has:
  3 videos, 4 faces, 4 identities
  1 with a name: STREET-0 Ann
  1 decision
FOLDER/saved.zip would take its place:
  a backup of TIME: 3 videos, 4 faces, 1 decision
This cannot be undone.
Replace the registry? [y/n] (n): """

COMMANDS = {
    "identities forget Ann": (FORGET, "Removed: 1 face, 1 crop, 1 video changed, 1 identity."),
    "videos remove street.mp4 beach.mp4": (
        REMOVE,
        "Removed: 2 videos, 2 faces, 2 crops, 2 identities.",
    ),
    "videos remove --older-than 0": (
        REMOVE_OLD,
        "Removed: 3 videos, 4 faces, 4 crops, 4 identities.",
    ),
    "retention --days 30": (
        RETENTION,
        "Videos are kept for 30 days after they were last read. 3 are older. Run `face-registry "
        "videos remove --older-than 30` to list them.",
    ),
    "identities consolidate": (
        CONSOLIDATE,
        "1 identity joined others. There are 3 identities now.",
    ),
    "backup FOLDER/saved.zip": (BACKUP, "Saved 10 objects in FOLDER/saved.zip."),
    "restore FOLDER/saved.zip --overwrite": (
        RESTORE,
        "Restored 9 objects from the backup of TIME.",
    ),
}
UNDOABLE = ("retention --days 30", "identities consolidate")
every_command = pytest.mark.parametrize("command", COMMANDS)


def state(folder: Path) -> dict[str, bytes]:
    """The objects, and the backup."""
    files = [*(folder / "home" / "objects").rglob("*"), folder / "saved.zip"]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


@every_command
def test_a_terminal_is_shown_what_will_happen_and_no_changes_nothing(
    command: str, folder: Path
) -> None:
    before = state(folder)
    code, lines = session(folder, *command.split(), answer="n")
    assert code == 1
    assert lines[-1] == "Nothing was changed."
    assert "\n".join(lines[:-1]).endswith("? [y/n] (n): n")
    assert COMMANDS[command][0] in "\n".join(lines)
    assert state(folder) == before


@every_command
def test_yes_on_a_terminal_does_it(command: str, folder: Path) -> None:
    code, lines = session(folder, *command.split(), answer="y")
    assert code == 0
    assert COMMANDS[command][1] in lines


@pytest.mark.parametrize("answer", ["", "\x04"])
def test_enter_alone_and_the_end_of_the_input_are_a_no(answer: str, folder: Path) -> None:
    before = state(folder)
    code, lines = session(folder, "identities", "forget", "Ann", answer=answer)
    assert (code, lines[-1]) == (1, "Nothing was changed.")
    assert state(folder) == before


def call(folder: Path, *arguments: str) -> Result:
    words = [word.replace("FOLDER", str(folder)) for word in arguments]
    return CliRunner().invoke(cli, ["--home", str(folder / "home"), *words])


@every_command
def test_without_a_terminal_only_what_can_be_undone_goes_on(command: str, folder: Path) -> None:
    before = state(folder)
    done = call(folder, *command.split())
    if command in UNDOABLE:
        assert (done.exit_code, done.stderr.count("?")) == (0, 0)
        return
    if "--older-than" in command:
        assert (done.exit_code, "Use --yes to do so" in done.stderr) == (0, True)
    else:
        assert isinstance(done.exception, UsageError)
        assert done.exception.exit_code == 2
        assert "Repeat with --yes" in str(done.exception)
        assert "This cannot be undone." in done.stderr
    assert state(folder) == before


@every_command
def test_scripts_say_yes(command: str, folder: Path) -> None:
    done = call(folder, *command.split(), "--yes")
    assert done.exit_code == 0, done.output
    assert "cannot be undone" not in done.stderr


def test_the_question_stays_out_of_the_json(folder: Path) -> None:
    done = call(folder, "identities", "forget", "Ann", "--json")
    assert done.stdout == ""
    done = call(folder, "identities", "forget", "Ann", "--json", "--yes")
    assert json.loads(done.stdout)["removed"]["faces"] == 1


def test_a_new_backup_and_a_restore_into_nothing_ask_nothing(folder: Path) -> None:
    assert call(folder, "backup", "FOLDER/new.zip").exit_code == 0
    fresh = ["--home", str(folder / "fresh"), "restore", str(folder / "new.zip"), "--overwrite"]
    assert CliRunner().invoke(cli, fresh).exit_code == 0


def test_a_restore_over_a_damaged_registry_shows_what_is_damaged(folder: Path) -> None:
    [decision] = (folder / "home" / "objects" / "decisions").iterdir()
    decision.write_text("{")
    words = ("restore", str(folder / "saved.zip"), "--overwrite")
    shown = run_on_terminal(folder / "home", *words, answer="y")
    assert shown.exit_code == 0
    assert "\n  something that cannot be read: " in shown.text


# --- another model ------------------------------------------------------------------------------


@pytest.fixture
def of_another_model(tmp_path: Path) -> Path:
    """The home of a registry without faces, which can change to any model."""
    with new_registry(tmp_path / "home", video("empty", [])):
        return tmp_path / "home"


def test_a_change_of_the_model_asks_after_its_preview(of_another_model: Path) -> None:
    words = ("migrate", "--model", "sface", "--switch")
    declined = run_on_terminal(of_another_model, *words, answer="n")
    assert declined.exit_code == 1
    assert "test-model (8-d) to sface (128-d): 0 faces in 1 video" in declined.text
    assert "This cannot be undone.\nChange the model to sface? [y/n] (n): n" in declined.text
    assert model_of(of_another_model) == "test-model"
    agreed = run_on_terminal(of_another_model, *words, answer="y")
    assert agreed.exit_code == 0
    assert agreed.text.count("to sface (128-d)") == 1
    assert "The registry uses sface now." in agreed.text
    assert model_of(of_another_model) == "sface"


def test_a_change_of_the_model_is_refused_before_the_work_begins(of_another_model: Path) -> None:
    words = ["--home", str(of_another_model), "migrate", "--model", "sface", "--switch"]
    refused = CliRunner().invoke(cli, words)
    assert isinstance(refused.exception, UsageError)
    assert "Repeat with --yes" in str(refused.exception)
    with open_registry(home=of_another_model) as registry:
        assert list(registry.blobs.list("next/")) == []
    done = CliRunner().invoke(cli, [*words, "--yes"])
    assert (done.exit_code, model_of(of_another_model)) == (0, "sface")


def model_of(home: Path) -> str:
    with open_registry(home=home) as registry:
        return registry.contract.model.name
