"""Pages of video sites: finding the video file on a page.

`resolver` starts a process of its own for each page; `ytdlp_process` runs in that process.
"""
