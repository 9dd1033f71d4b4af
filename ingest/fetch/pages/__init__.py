"""Pages of video sites: finding the video file on a page.

`resolver` starts a process of its own for each page; `extraction` runs in that process.
"""
