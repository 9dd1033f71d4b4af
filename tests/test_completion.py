"""Shells complete names and ids of identities, and say and change nothing while they do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ZshComplete
from click.testing import CliRunner

from registry.cli import cli
from registry.core.completion import known_identities
from registry.core.opening import open_registry
from registry.people import corrections
from registry.settings import load_settings
from tests.support.factories import person, video
from tests.support.homes import copy_home
from tests.support.registries import new_registry, who

PARK = video("park", [person(0), person(1), person(2)])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a registry with a named identity, one without a name, and one that was merged."""
    home = tmp_path_factory.mktemp("completion") / "home"
    with new_registry(home, PARK) as registry:
        registry.name(who(registry, PARK, 0), "Katie Hill")
        corrections.merge(registry, [who(registry, PARK, 1), who(registry, PARK, 2)])
    return home


def completed(home: Path, *words: str, shell: str = "zsh") -> subprocess.CompletedProcess[str]:
    """What a shell gets for the last of these words, which is being typed."""
    return subprocess.run(
        [sys.executable, "-c", "from registry.cli import main; main()"],
        env={
            **os.environ,
            "_FACE_REGISTRY_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(("face-registry", *words)),
            "COMP_CWORD": str(len(words)),
            "FACE_REGISTRY_HOME": str(home),
        },
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip


def test_names_come_first_and_ids_by_what_was_typed(filled: Path) -> None:
    with open_registry(home=filled) as registry:
        named, kept = who(registry, PARK, 0)[:8], who(registry, PARK, 1)[:8]
    for begun, offered in {"": ["Katie Hill"], "ka": ["Katie Hill"], kept[:3]: [kept]}.items():
        done = completed(filled, "identities", "show", begun)
        assert (done.stderr, done.stdout.splitlines()[1::3]) == ("", offered), begun
    assert completed(filled, "identities", "show", "Ka").stdout.splitlines()[2] == named


@pytest.mark.parametrize("command", ["show", "forget", "merge", "name", "separate", "split"])
def test_every_command_that_takes_an_identity_completes_it(
    filled: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_REGISTRY_HOME", str(filled))
    with open_registry(home=filled) as registry:
        named, kept = who(registry, PARK, 0)[:8], who(registry, PARK, 1)[:8]
    shell = ZshComplete(cli, {}, "face-registry", "_FACE_REGISTRY_COMPLETE")
    for begun, offered in {"": ["Katie Hill"], "ka": ["Katie Hill"], kept[:3]: [kept]}.items():
        found = shell.get_completions(["identities", command], begun)
        assert [item.value for item in found] == offered, begun
    [item] = shell.get_completions(["identities", command], "Ka")
    assert item.help == named


def test_ids_that_were_merged_away_are_not_offered(filled: Path) -> None:
    with open_registry(home=filled) as registry:
        expected = {who(registry, PARK, 0): "Katie Hill", who(registry, PARK, 1): ""}
        # Another process holds the lock meanwhile.
        assert known_identities(load_settings(home=filled)) == expected
    assert list(known_identities(load_settings(home=filled), budget_s=0).values()) == ["Katie Hill"]


def files(home: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(home.rglob("*"))
    }


def test_completing_changes_nothing_and_needs_no_lock(filled: Path) -> None:
    with open_registry(home=filled):
        before = files(filled)
        done = completed(filled, "identities", "show", "K")
        assert "Katie Hill" in done.stdout
        assert files(filled) == before


def spoil(home: Path) -> None:
    for path in (home / "objects" / "decisions").iterdir():
        path.write_text("{")


def remove_home(home: Path) -> None:
    shutil.rmtree(home)


def empty(home: Path) -> None:
    shutil.rmtree(home)
    home.write_text("not a folder")


@pytest.mark.parametrize("damage", [spoil, remove_home, empty])
def test_a_registry_that_cannot_be_read_offers_nothing_and_prints_nothing(
    filled: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    home = copy_home(filled, tmp_path / "home")
    damage(home)
    before = files(tmp_path)
    done = completed(home, "identities", "show", "")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    assert files(tmp_path) == before


def test_objects_on_a_server_are_not_asked(filled: Path) -> None:
    settings = load_settings(
        home=filled,
        minio_endpoint="http://localhost:1",
        minio_access_key="key",
        minio_secret_key="secret",
    )
    assert known_identities(settings) == {}


BASH = """
eval "$(_FACE_REGISTRY_COMPLETE=bash_source face-registry)"
COMP_WORDS=(face-registry identities show "$1")
COMP_CWORD=3
COMPREPLY=()
_face_registry_completion face-registry
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("begun", ["K", "Katie\\ H"])
def test_bash_completes_a_name_with_a_space_as_one_word(filled: Path, begun: str) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash")
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        [bash, "--norc", "-c", BASH, "bash", begun],
        env={
            **os.environ,
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "FACE_REGISTRY_HOME": str(filled),
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("Katie\\ Hill\n", "")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("ingst", "Did you mean `face-registry ingest`?"),
        ("forget", "Did you mean `face-registry identities forget`?"),
        ("identities lst", "Did you mean `face-registry identities list`?"),
        ("consolidte", "Did you mean `face-registry identities consolidate`?"),
        ("report --metrc x", "'--metric'"),
    ],
)
def test_a_near_miss_of_a_command_or_an_option_gets_a_hint(words: str, hint: str) -> None:
    result = CliRunner().invoke(cli, words.split(), prog_name="face-registry")
    assert result.exit_code == 2
    assert hint in result.stderr


def test_a_word_that_resembles_nothing_gets_no_hint() -> None:
    result = CliRunner().invoke(cli, ["xyzzy"], prog_name="face-registry")
    assert "There is no command 'xyzzy'.\n" in result.stderr
