"""The commands `receipts list` and `receipts show`, and how a receipt is printed."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from registry.erasure.receipts import find_receipt, load_receipts
from registry.terminal import Terminal, clean, count, json_option, pass_terminal, short

_NOUNS = {
    "videos": ("video", "videos"),
    "videos_changed": ("video changed", "videos changed"),
    "faces": ("face", "faces"),
    "crops": ("crop", "crops"),
    "identities": ("identity", "identities"),
    "blocks": ("block", "blocks"),
}
"""By the name of a count in a receipt, what is counted."""
_KINDS = {"person": "a person", "video": "videos", "blocks": "blocks"}


@click.command("list")
@json_option
@pass_terminal
def receipts_list(terminal: Terminal, as_json: bool) -> None:
    """List the receipts of erasures, newest first. They say what was removed, and not whom."""
    with terminal.open_to_read() as registry:
        receipts = load_receipts(registry.blobs)
    if as_json:
        terminal.json({"receipts": receipts})
        return
    if not receipts:
        terminal.say("Nothing was erased here.")
        return
    grid = Table("receipt", "when", "of", "removed", box=None, pad_edge=False)
    for receipt in receipts:
        kind = _KINDS.get(receipt["kind"], clean(str(receipt["kind"])))
        grid.add_row(short(receipt["receipt"]), receipt["at"], kind, _removed(receipt))
    terminal.table(grid, drop=("when",), shorten={"removed": 24})


@click.command("show")
@click.argument("receipt")
@json_option
@pass_terminal
def receipts_show(terminal: Terminal, receipt: str, as_json: bool) -> None:
    """Show the receipt of an erasure. RECEIPT is its id or the beginning of it."""
    with terminal.open_to_read() as registry:
        document = find_receipt(registry.blobs, receipt)
    if as_json:
        terminal.json(document)
        return
    kind = _KINDS.get(document["kind"], str(document["kind"]))
    terminal.say(f"Erasure of {kind}, {document['at']}")
    print_receipt(terminal, document)


def print_receipt(terminal: Terminal, receipt: dict[str, Any]) -> None:
    """Print a receipt: what was removed to stdout, what an erasure cannot reach to stderr."""
    terminal.say(f"Removed: {_removed(receipt)}.")
    if "final_query" in receipt:
        terminal.say("Afterwards, neither objects nor index named any of them.")
    pictures = receipt.get("pictures", {})
    if pictures.get("looked_through") or pictures.get("rewritten"):
        others = count(pictures["looked_through"], "picture")
        terminal.say(
            f"Pictures of others: {pictures['rewritten']:,} rewritten; {others} looked through "
            f"with {pictures['model'] or 'no model'}, which then found the person "
            f"{pictures['found_afterwards']} times."
        )
    terminal.say(f"Receipt: {receipt['receipt']}")
    if receipt.get("block"):
        terminal.say(f"Block {receipt['block']['id']} keeps a template of the face.")
    if receipt.get("because"):
        terminal.say(f"Reason: {receipt['because']}.")
    if exports := receipt.get("exports"):
        terminal.say("Files written while it was on record, which may still hold it:")
        for export in exports:
            terminal.say(f"  {export['kind']:<8} {export['path']}  ({export['at']})")
    if receipt.get("not_covered"):
        terminal.note(f"Not covered: {'; '.join(receipt['not_covered'])}.")


def _removed(receipt: dict[str, Any]) -> str:
    return ", ".join(
        count(n, *_NOUNS.get(what, (what.replace("_", " "), what.replace("_", " "))))
        for what, n in receipt["removed"].items()
    )
