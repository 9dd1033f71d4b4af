"""Reads a table of videos, as it was exported, into rows with numbers. Only files are accessed.

| module | subject |
|---|---|
| `reading.py` | `read_table`, `read_frame`: from a source and options to a `Table` |
| `table.py` | the result, `Table` and `VideoRow`; and `TableOptions` |
| `files.py`, `encodings.py`, `separated.py` | bytes to rows of cells: form, encoding, CSV and TSV |
| `workbooks.py`, `opendocument.py` | `.xlsx`, Parquet and `.ods` to rows of cells |
| `header.py` | title rows, the header, names of columns |
| `totals.py` | rows of totals |
| `specs.py` | how rows of one video are combined: `Views:sum`, `ROAS:mean@Spend` |
| `numbers.py`, `units.py` | the text of one cell to a number and its unit |
| `columns.py`, `conversion.py` | decimal sign and unit of a whole column, and its numbers |
| `questions.py` | questions to the user, where a column can be read in several ways |
| `cells.py`, `locations.py` | cells to URLs and attributes, and where the files are |
| `videos.py`, `placements.py` | rows to videos; several rows of one video to one |
| `interpretation.py` | rows below a header to a `Table` |
"""
