"""Small tables as programs export them; each went wrong once."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import openpyxl

URL = "Video URL"
Cells = Sequence[Sequence[object]]


def build_exports(folder: Path, site: str) -> None:
    """Write the tables; those with links have them under `site`."""

    def write(
        name: str, rows: Cells, *, delimiter: str = ",", encoding: str = "utf-8", before: str = ""
    ) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
        (folder / name).write_bytes((before + text.getvalue()).encode(encoding))

    for week, signature, values in ((1, "0" * 64, (10, 4)), (2, "f" * 64, (2, 5))):
        write(
            f"signed_week{week}.csv",
            [
                [URL, "Performance"],
                [f"{site}/a.mkv?X-Amz-Date=2026100{week}&X-Amz-Signature={signature}", values[0]],
                [f"{site}/b.mkv?Expires={week}&Signature=s{week}__&Key-Pair-Id=K", values[1]],
            ],
        )
    write("tracking.csv", [
        [URL, "ROAS"], [f"{site}/a.mkv?utm_campaign=q2", 9], [f"{site}/a.mkv?utm_campaign=q3", 1],
        [f"{site}/a.mkv?fbclid=IwAR0", 1.2], [f"{site}/b.mkv", 2],
    ])  # fmt: skip
    write("same_content.csv", [
        [URL, "Performance"], ["a.mkv", 10], ["copy/final_v2.mkv", 4], ["b.mkv", 1],
    ])  # fmt: skip
    write("counts_with_dots.csv", [
        [URL, "Views"], ["a.mkv", "1.250"], ["b.mkv", "80"], ["c.mkv", "12.875"],
    ])  # fmt: skip
    write("rates_with_commas.csv", [
        [URL, "CTR"], ["a.mkv", "1,250"], ["b.mkv", "2,375"], ["c.mkv", "3,125"],
    ])  # fmt: skip
    write("breakdown.csv", [
        ["Ad set", "Day", URL, "Spend", "ROAS", "Views"],
        ["one", "2026-06-01", "a.mkv", 10, 9.0, 100],
        ["two", "2026-06-01", "a.mkv", 5000, 1.0, 50000],
        ["three", "2026-06-02", "a.mkv", 4000, 1.2, 40000],
        ["one", "2026-06-01", "b.mkv", 3000, 2.0, 900],
    ])  # fmt: skip
    write("week_full.csv", [[URL, "ROAS", "Views"], ["a.mkv", 4.5, 1500], ["b.mkv", 2.0, 80]])
    write("week_blank.csv", [[URL, "ROAS", "Views"], ["a.mkv", "", 1600], ["b.mkv", 2.1, ""]])
    write("week_percent.csv", [[URL, "ROAS"], ["b.mkv", "220%"]])
    write("one_bad_metric.csv", [
        [URL, "ROAS", "Views"], ["a.mkv", 4.5, "about a thousand"], ["b.mkv", 2.0, "--"],
        ["c.mkv", "< 10%", 7],
    ])  # fmt: skip
    write("search_ads.csv", [
        ["Campaign", URL, "Impr.", "CTR", "Conv. rate", "Cost"],
        ["One", "a.mkv", "12,345", "1.25%", " --", "$1,234.50"],
        ["One", "b.mkv", "980", "< 10%", "0.50%", "$88.10"],
        ["Two", "c.mkv", "1,020,345", "2.75%", " --", "$9,001.00"],
        ["Total: Campaigns", " --", "1,033,670", "2.70%", "0.50%", "$10,323.60"],
        ["Total: Account", " --", "1,033,670", "2.70%", "0.50%", "$10,323.60"],
    ], delimiter="\t", encoding="utf-16", before="Ad performance\r\nOctober 2026\r\n")  # fmt: skip
    write("windows_1252.csv", [
        [URL, "Titre", "Vues"], ["a.mkv", "Été à Besançon", 5], ["b.mkv", "Noël", 7],
    ], delimiter=";", encoding="cp1252")  # fmt: skip
    write("studio.csv", [
        ["Content", "Video title", "Video publish time", "Duration", "Views"],
        ["Total", "", "", "", 504631],
        ["AAAAAAAAAA1", 'Guide: "Part I"', "Jan 6, 2024", 2496, 8542],
        ["AAAAAAAAAA2", "How to", "Jul 13, 2022", 1008, 13782],
    ])  # fmt: skip
    write("cells.csv", [
        [URL, "ROAS"], [f'=HYPERLINK("{site}/a.mkv","Watch")', 9], [f"<{site}/b.mkv>", 3],
        [f"[Watch]({site}/c.mkv)", 2], [f"'{site}/b.mkv", 3], [f"\u200b{site}/c.mkv ", 2],
    ])  # fmt: skip
    (folder / "quote.tsv").write_text(
        f'{URL}\tTitle\tViews\na.mkv\t"Best" ad\t7\nb.mkv\tSay "hi\t8\n'
    )
    write("nbsp_header.csv", [["Video\u00a0URL", "Performance"], ["a.mkv", 1]])
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in ([URL, "Performance", "Published"], ["a.mkv", 4.5, "2026-10-01"]):
        sheet.append(row)
    sheet.append(["b.mkv", 2, "2026-10-02"])
    book.save(folder / "workbook.xlsx")
