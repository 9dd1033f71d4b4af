"""Pages of video sites: where the video on one of them is.

Only `ingest.pages.extraction`, in a process of its own, reads a page.
"""
