"""Fetching videos: from the web, from pages of video sites, from buckets and from disk.

`ingest.fetch.downloads` is the entry point. All requests that a table causes go through
`ingest.fetch.connections`, to addresses that `ingest.fetch.addresses` has checked.
"""
