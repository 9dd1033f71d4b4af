"""What is read from a registry: reports, averages by identity, lookups, exports."""

from queries.averages import averages
from queries.export import write_csv, write_zip
from queries.folder_lookup import lookup_folder
from queries.lookup import lookup
from queries.report import report

__all__ = ["averages", "lookup", "lookup_folder", "report", "write_csv", "write_zip"]
