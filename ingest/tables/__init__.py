"""A table of videos, as it was exported, to rows with numbers: pure but for reading files.

| module | subject |
|---|---|
| `reading.py` | `read_table`, `read_frame`: from a source and options to a `Table` |
| `table.py` | what comes of it: `Table`, `VideoRow`; and `TableOptions` |
| `files.py`, `encodings.py`, `separated.py` | bytes to rows of cells: form, encoding, CSV and TSV |
| `workbooks.py`, `opendocument.py` | `.xlsx`, Parquet and `.ods` to rows of cells |
| `remote.py` | addresses of published sheets and of shared files |
| `header.py` | title rows, the header, names of columns, total rows |
| `specs.py` | `Views:sum`, `ROAS:mean@Spend` |
| `numbers.py`, `units.py`, `columns.py` | text to numbers, cell by cell and for a column |
| `cells.py`, `locations.py` | URLs out of cells, and where their bytes are |
| `placements.py` | several rows of one video to one |
"""
