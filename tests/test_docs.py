"""What the documents say of the command line is what the command line has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from registry.cli import cli
from registry.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(_commands(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_stands_in_the_readme(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3
    rows = [line for line in README.splitlines() if line.startswith("| `face-registry ")]
    if len(path) > 1:
        rows = [row for row in rows if row.startswith(f"| `face-registry {path[0]} ")]
    cells = [row.split(" | ")[0] for row in rows]
    named = [re.findall(r"[a-z]+", cell) for cell in cells]
    assert any(path[-1] in words for words in named), f"{' '.join(path)} is not in the README"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_has_help(path: tuple[str, ...]) -> None:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts[0]} has no help"


@pytest.mark.parametrize("document", ["README.md", "docs/LAWFUL_USE.md"])
def test_every_command_line_of_a_document_is_one(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    lines = [line.split("#")[0] for line in blocks.splitlines() if "face-registry " in line]
    assert lines
    for line in lines:
        words = line[line.index("face-registry ") :].split()[1:]
        command: click.Command = cli
        while isinstance(command, click.Group) and words:
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, line
            command, words = found, words[1:]
        known = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_variable_stands_in_the_readme() -> None:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        assert alias is not None, name
        variable = str(getattr(alias, "choices", [alias])[0])
        assert f"`{variable}`" in README, variable


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tests_that_documents_name_exist() -> None:
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    known = {
        name for text in sources.values() for name in re.findall(r"^def (test_\w+)", text, re.M)
    }
    files = {str(path.relative_to(ROOT)) for path in sources}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:::|`)(test_\w+)`", text))
        assert named <= known, f"{document.name}: {named - known}"
        paths = set(re.findall(r"tests/[\w/]*test_\w+\.py", text))
        assert paths <= files, f"{document.name}: {paths - files}"
