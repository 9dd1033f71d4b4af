"""The command `face-registry videos retry`."""

from __future__ import annotations

import sys

import click

from ingest.api import retry
from ingest.commands import (
    accuracy_option,
    as_writer,
    max_memory_option,
    network_options,
    print_result,
    printing_failures,
    private_hosts_option,
    reporting,
    stoppable,
    workers_option,
)
from ingest.fetch.addresses import AddressPolicy
from ingest.fetch.network import Network
from ingest.frames import MediaLimits
from registry.errors import UsageError
from registry.settings import Accuracy
from registry.terminal import Terminal, json_option, pass_terminal


@click.command("retry")
@click.argument("videos", nargs=-1, metavar="[VIDEO]...")
@click.option(
    "--all", "everything", is_flag=True,
    help="All videos that failed, are partial or were found damaged.",
)  # fmt: skip
@accuracy_option
@workers_option
@max_memory_option
@private_hosts_option
@network_options
@json_option
@pass_terminal
def retry_command(
    terminal: Terminal,
    videos: tuple[str, ...],
    everything: bool,
    accuracy: Accuracy | None,
    workers: int | None,
    max_memory: int,
    allow_private_hosts: bool,
    network: Network,
    as_json: bool,
) -> None:
    """Read videos again (URLs, ids or beginnings of ids) that failed or are partial.

    They are fetched from the URLs on record, which have no user names and passwords.
    """
    if bool(videos) == everything:
        raise UsageError("Name the videos to read again, or give --all.")
    with (
        terminal.open() as registry,
        as_writer(registry),
        reporting(terminal) as reporter,
        stoppable(terminal) as stop,
        printing_failures(terminal, as_json),
    ):
        summary = retry(
            registry,
            videos,
            accuracy=accuracy,
            workers=workers,
            policy=AddressPolicy(allow_private=allow_private_hosts),
            network=network,
            limits=MediaLimits(max_memory=max_memory << 20),
            reporter=reporter,
            stop=stop,
        )
    print_result(terminal, summary, as_json)
    sys.exit(summary.exit_code)
