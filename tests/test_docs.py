"""What the documentation says of commands, settings, files and names is what the program has."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import click
import cv2
import pytest
from click.testing import CliRunner

import face_registry
from registry.cli import cli
from registry.demo.cast import VIDEOS
from registry.demo.videos import build_videos
from registry.domain import Image
from registry.settings import Settings
from tasks import TASKS
from tests.support.cli_reference import commands, page

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
PYTHON = TEXTS[ROOT / "docs" / "PYTHON.md"]
CONFIGURATION = TEXTS[ROOT / "docs" / "CONFIGURATION.md"]
COMMANDS = dict(commands())
SOURCES = [path for top in ("registry", "ingest", "queries") for path in (ROOT / top).rglob("*.py")]
OTHERS = {
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "ORT_DISABLE_TELEMETRY", "XDG_DATA_HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
}
"""Variables on the page of settings that other programs read."""

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
every_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


def _sections(text: str, level: str) -> dict[str, str]:
    """The text below each heading of a level, by heading."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


REFERENCE = _sections(TEXTS[ROOT / "docs" / "CLI.md"], "###")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _spans(text: str) -> list[str]:
    """What stands in backticks, blocks of code left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


# --- the command line ---------------------------------------------------------------------------


@every_command
def test_every_command_has_help_and_a_section_of_the_reference(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3
    section = REFERENCE[f"face-registry {' '.join(path)}"]
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts[0]} has no help"
            assert f"`{parameter.opts[0]}" in section


def test_the_reference_of_commands_is_as_make_docs_writes_it() -> None:
    text = TEXTS[ROOT / "docs" / "CLI.md"]
    assert text == page(text), "run `make docs`"
    assert set(REFERENCE) == {f"face-registry {' '.join(path)}" for path in COMMANDS}


def _command(words: list[str]) -> tuple[click.Command, list[str]] | None:
    """The command that words call, and the words after it."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        while command is cli and words and words[0] in {"--home", "--log-format", "--log-level"}:
            words = words[2:]
        if not words or words[0].startswith("-"):
            return command, words
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return None
        command, words = found, words[1:]
    return command, words


def _unknown_flags(command: click.Command, words: list[str]) -> set[str]:
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help"}
    return {word.split("=")[0] for word in words if word.startswith("--")} - known


@documents
def test_every_command_line_is_one(document: Path) -> None:
    text = TEXTS[document]
    blocks = "\n".join(_blocks(text, "sh")).replace("\\\n", " ")
    lines = [line.split("#")[0] for line in [*blocks.splitlines(), *_spans(text)]]
    for line in lines:
        if match := re.match(r"(?:.*&& )?face-registry (.+)", line):
            words = match[1].replace("…", " ").split()
            if words[0] in {"COMMAND", "--version", "--help"}:
                continue
            found = _command(words)
            assert found is not None, line
            assert not _unknown_flags(*found), line


@documents
def test_every_option_named_with_its_command_exists(document: Path) -> None:
    for span in _spans(TEXTS[document]):
        words = span.replace("…", " ").split()
        found = _command(words) if re.match(r"[a-z]", span) and "--" in span else None
        if found is not None and found[0] is not cli:
            assert not _unknown_flags(*found), span


@documents
def test_make_targets_and_python_modules_exist(document: Path) -> None:
    targets = {"help", *TASKS}
    text = TEXTS[document]
    lines = [*"\n".join(_blocks(text, "sh")).splitlines(), *_spans(text)]
    for line in (line.split("#")[0].strip() for line in lines):
        if match := re.match(r"make ((?:[a-z-]+ ?)+)", line):
            assert set(match[1].split()) <= targets, line
        if match := re.match(r"python -m ([\w.]+)", line):
            assert find_spec(match[1]), line


# --- settings -----------------------------------------------------------------------------------


def _variable(field: Any) -> str:
    return str(field.validation_alias.choices[0])


def _shown(name: str, field: Any) -> str:
    """The default of a setting as the page writes it."""
    if name == "home":
        return "the user's data folder"
    if field.default in (None, ""):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def _values(annotation: Any) -> set[str]:
    """The words that a setting may be, if it may be only some."""
    inner = get_args(annotation)
    return {one for one in inner if isinstance(one, str)}.union(
        *(_values(one) for one in inner if not isinstance(one, str))
    )


def test_every_setting_has_a_row_with_its_default_and_values() -> None:
    rows = {cells[1].strip(): cells for cells in _rows(CONFIGURATION)}
    for name, field in Settings.model_fields.items():
        variable = _variable(field)
        cells = rows[f"`{variable}`"]
        assert cells[2].strip() == _shown(name, field), variable
        for value in _values(field.annotation) - {field.default, "none"}:
            assert f"`{value}`" in cells[3], f"{variable}: {value}"
        if name.startswith(("qdrant_", "minio_")):
            assert f"`TARGET_{variable}`" in CONFIGURATION


def test_every_variable_of_the_page_is_read() -> None:
    known = {_variable(field) for field in Settings.model_fields.values()} | OTHERS
    known |= {f"TARGET_{name}" for name in known if name.startswith(("QDRANT_", "MINIO_"))}
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", CONFIGURATION))
    assert named <= known


def _rows(text: str) -> Iterator[list[str]]:
    """Cells of the rows of tables; the first and the last are empty."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield re.split(r"(?<!\\)\|", line)


# --- Python -------------------------------------------------------------------------------------


def test_the_python_page_names_everything_public() -> None:
    missing = [name for name in face_registry.__all__ if not re.search(rf"\b{name}\b", PYTHON)]
    assert missing == []
    named = set(re.findall(r"^\| `(\w+)(?:\(|`)", PYTHON, re.M))
    for name in named - set(face_registry.__all__):
        assert hasattr(face_registry.Registry, name) or f"`{name}=" in PYTHON, name


def test_signatures_on_the_python_page_are_those_of_the_functions() -> None:
    found = re.findall(r"`((?:plot\.)?\w+)\(([^`]*)\)(?: ->[^`]*)?`", PYTHON)
    checked = set()
    for name, text in found:
        place = face_registry.plot if name.startswith("plot.") else face_registry
        function = getattr(place, name.removeprefix("plot."), None)
        if function is None or not inspect.isfunction(function):
            continue
        names = re.findall(r"(\w+)(?:=|,|$)", re.sub(r"=[^,]*", "=", text))
        member = getattr(face_registry.Registry, name, function)  # `crop` is both
        parameters = [{*inspect.signature(one).parameters} for one in (function, member)]
        assert any(set(names) <= known for known in parameters), f"{name}({text})"
        checked.add(name)
    assert {"ingest", "averages", "lookup", "open_registry", "merge", "undo"} <= checked
    assert {f"plot.{name}" for name in face_registry.plot.__all__} <= checked


def test_arguments_of_ingest_are_all_described() -> None:
    section = _sections(PYTHON, "##")["Ingest"]
    for name, parameter in inspect.signature(face_registry.ingest).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"`{name}=" in section, name


@documents
def test_python_examples_use_what_exists(document: Path) -> None:
    for block in _blocks(TEXTS[document], "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "fr" or node.attr in face_registry.__all__
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                function = getattr(face_registry, node.func.attr, None)
                if inspect.isfunction(function) and node.func.attr != "open_registry":
                    names = {keyword.arg for keyword in node.keywords}
                    assert names <= {*inspect.signature(function).parameters}


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/PYTHON.md"])
def test_the_python_example_runs(document: str, tmp_path: Path, astronaut: Image) -> None:
    script = _blocks(TEXTS[ROOT / document], "python")[0]
    video = next(one for one in VIDEOS if one.file == "ask-an-astronaut.mp4")
    build_videos(tmp_path, [video])
    (tmp_path / "videos.csv").write_text(f"Video URL,Performance\n{video.file},7\n")
    cv2.imwrite(str(tmp_path / "photo.jpg"), astronaut)
    (tmp_path / "script.py").write_text(f"{script}\n        assert len(table) == 1, table\n")
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)


# --- links and names ----------------------------------------------------------------------------


def _slugs(text: str) -> set[str]:
    """The fragments that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[document]):
        if "://" in target:
            continue
        file, _, fragment = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), target
        if fragment:
            assert fragment in _slugs(path.read_text(encoding="utf-8")), target


@documents
def test_files_and_modules_that_are_named_exist(document: Path) -> None:
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for span in _spans(TEXTS[document]):
        if re.fullmatch(r"[\w/.-]+\.py", span):
            assert any(f"/{name}".endswith(f"/{span}") for name in files), span


def test_the_tests_that_documents_name_exist() -> None:
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    known = {
        name for text in sources.values() for name in re.findall(r"^def (test_\w+)", text, re.M)
    }
    files = {str(path.relative_to(ROOT)) for path in sources}
    for document, text in TEXTS.items():
        if document.name != "CONTRIBUTING.md":  # which makes a name up
            named = set(re.findall(r"(?:::|`)(test_\w+)`", text))
            assert named <= known, f"{document.name}: {named - known}"
        paths = set(re.findall(r"tests/[\w/]*test_\w+\.py", text))
        assert paths <= files, f"{document.name}: {paths - files}"


def test_words_of_the_glossary_are_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for cells in _rows(TEXTS[ROOT / "docs" / "GLOSSARY.md"]):
        for word in re.findall(r"`([^`]+)`", cells[3] if len(cells) == 5 else ""):
            assert word in code, word


def test_the_front_page_is_short() -> None:
    lines = TEXTS[ROOT / "README.md"].splitlines()
    assert len(lines) <= 150
    assert {"make demo", "make test"} <= {line.split(" #")[0].strip() for line in lines}
