from __future__ import annotations

import pytest

from registry.urls import canonical, is_video_file, name_video, names, site_of

YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
FACEBOOK = "https://www.facebook.com/watch/?v=10153231379946729"
INSTAGRAM = "https://www.instagram.com/p/Cx_1-b/"
TIKTOK = "https://www.tiktok.com/@_/video/6748451240264420610"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://youtu.be/dQw4w9WgXcQ?si=abc", YOUTUBE),
        ("http://youtu.be/dQw4w9WgXcQ/", YOUTUBE),
        ("https://youtube.com/watch/?v=dQw4w9WgXcQ&t=43s&pp=x", YOUTUBE),
        ("https://m.youtube.com/watch?v=dQw4w9WgXcQ&list=PL1&index=2", YOUTUBE),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ?feature=share", YOUTUBE),
        ("https://www.youtube.com/live/dQw4w9WgXcQ?si=a", YOUTUBE),
        ("https://www.youtube.com/v/dQw4w9WgXcQ", YOUTUBE),
        ("https://music.youtube.com/watch?feature=share&v=dQw4w9WgXcQ", YOUTUBE),
        ("https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?rel=0", YOUTUBE),
        ("https://www.facebook.com/watch?v=10153231379946729&ref=sharing", FACEBOOK),
        ("https://m.facebook.com/watch/?v=10153231379946729&_rdr", FACEBOOK),
        ("https://www.facebook.com/watch/live/?v=10153231379946729", FACEBOOK),
        ("https://www.facebook.com/video.php?v=10153231379946729", FACEBOOK),
        ("https://facebook.com/reel/10153231379946729/?s=single_unit&mibextid=1", FACEBOOK),
        ("https://www.facebook.com/cnn/videos/10153231379946729/", FACEBOOK),
        ("https://www.facebook.com/cnn/videos/what-to-do/10153231379946729", FACEBOOK),
        ("https://www.facebook.com/cnn/videos/vb.5550296508/10153231379946729/?type=3", FACEBOOK),
        ("https://www.instagram.com/reel/Cx_1-b/?igsh=1", INSTAGRAM),
        ("https://instagram.com/reels/Cx_1-b", INSTAGRAM),
        ("https://www.instagram.com/tv/Cx_1-b/", INSTAGRAM),
        ("https://m.instagram.com/nasa/p/Cx_1-b/?utm_source=ig_web_copy_link", INSTAGRAM),
        ("https://www.instagram.com/nasa/reel/Cx_1-b/", INSTAGRAM),
        ("https://www.tiktok.com/@a.b-c/video/6748451240264420610?is_from_webapp=1", TIKTOK),
        ("https://tiktok.com/@/video/6748451240264420610/", TIKTOK),
        ("https://m.tiktok.com/v/6748451240264420610.html?_r=1", TIKTOK),
        ("https://www.tiktok.com/embed/v2/6748451240264420610", TIKTOK),
        ("https://player.vimeo.com/video/76?h=ab12cd", "https://vimeo.com/76/ab12cd"),
        ("https://vimeo.com/76", "https://vimeo.com/76"),
        ("https://twitter.com/nasa/status/20?s=20", "https://x.com/i/status/20"),
        ("https://x.com/nasa/status/20/video/1", "https://x.com/i/status/20"),
        ("https://x.com/nasa/status/20/video/2", "https://x.com/i/status/20/video/2"),
    ],
)
def test_spellings_of_a_page_are_one_video(url: str, name: str) -> None:
    assert canonical(url).exposed() == name
    assert canonical(name).exposed() == name


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?list=PL1",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&v=oHg5SJYRHA0",
        "https://www.youtube.com/embed/videoseries?list=PL1",
        "https://www.youtube.com/embed/live_stream?channel=UC1",
        "https://www.youtube.com/file.mp4?v=dQw4w9WgXcQ",
        "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
        "https://www.facebook.com/watch?v=abc",
        "https://www.facebook.com/story.php?story_fbid=1&id=2",
        "https://www.facebook.com/share/v/1AbC/",
        "https://www.facebook.com/cnn/videos/",
        "https://fb.watch/aBc-1/",
        "https://www.instagram.com/share/reel/BAx/",
        "https://www.instagram.com/nasa/",
        "https://vm.tiktok.com/ZM1/",
        "https://www.tiktok.com/@a.b",
        "https://www.tiktok.com/t/ZT1/",
    ],
)
def test_what_may_be_another_video_stands_as_it_is(url: str) -> None:
    assert canonical(url).exposed() == url
    assert name_video(url).dropped == ()


def test_pages_that_differ_in_the_video_stay_apart() -> None:
    pages = [
        "https://youtu.be/dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcq",
        "https://www.facebook.com/reel/1",
        "https://www.facebook.com/reel/2",
        "https://www.instagram.com/p/A/",
        "https://www.instagram.com/p/a/",
        "https://www.instagram.com/share/p/A/",
        "https://www.tiktok.com/@a/video/1",
        "https://www.tiktok.com/@a/photo/1",
        "https://www.tiktok.com/@a/video/2",
        "https://x.com/a/status/1",
        "https://x.com/a/status/1/video/2",
        "https://vimeo.com/1",
        "https://vimeo.com/1/abcdef",
    ]
    assert len({canonical(page) for page in pages}) == len(pages)


def test_what_a_name_leaves_out_is_told() -> None:
    name = name_video("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=43s&si=a&utm_source=b")
    assert name.dropped == ("t", "si", "utm_source")
    assert name_video("https://player.vimeo.com/video/76?h=ab12cd&x=1").dropped == ("x",)


@pytest.mark.parametrize(
    ("url", "before"),
    [
        ("https://m.tiktok.com/@a.b/video/71?x=1", "https://www.tiktok.com/@a.b/video/71"),
        ("https://www.facebook.com/watch?v=1", "https://www.facebook.com/watch?v=1"),
        ("https://x.com/nasa/status/20/video/2", "https://x.com/i/status/20"),
        ("https://www.instagram.com/share/p/A/", "https://www.instagram.com/p/A/"),
        ("https://www.youtube.com/embed/videoseries", "https://www.youtube.com/watch?v=videoseries"),
        ("https://youtu.be/abcdefgh", "https://www.youtube.com/watch?v=abcdefgh"),
        ("https://www.youtube.com/watch/?v=dQw4w9WgXcQ", "https://www.youtube.com/watch/?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/clip/a?si=b", "https://www.youtube.com/clip/a?si=b"),
    ],
)  # fmt: skip
def test_a_page_is_found_under_the_name_it_had(url: str, before: str) -> None:
    assert [name.exposed() for name in names(url)] == [canonical(url).exposed(), before]


@pytest.mark.parametrize(
    "url",
    [
        "https://youtu.be/dQw4w9WgXcQ?si=abc",
        "https://www.instagram.com/nasa/reel/Cx_1/?igsh=1",
        "https://player.vimeo.com/video/76?h=ab12cd",
        "https://twitter.com/nasa/status/20?s=20",
        "https://example.com/a.mp4?id=7",
    ],
)
def test_a_page_that_keeps_its_name_has_one(url: str) -> None:
    assert names(url) == (canonical(url),)


def test_a_file_is_no_page() -> None:
    assert is_video_file("/a/b.MP4")
    assert not is_video_file("/a/b.mp4/c")
    assert site_of("media.tiktok.com", "/v.mp4") == ""
    assert site_of("m.youtube.com", "/watch") == "youtube.com"
    assert site_of("youtube.com.example.com", "/watch") == ""
