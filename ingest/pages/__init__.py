"""Pages of video sites: what they are called, and where the video on one of them is.

Only `ingest.pages.extraction`, in a process of its own, reads a page; yt-dlp is imported nowhere
else in the project.
"""
