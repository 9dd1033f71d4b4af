from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry.urls import canonical, name_video, names

AWS = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261101%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261101T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=abc"
)


@pytest.mark.parametrize(
    ("query", "kept", "dropped"),
    [
        # what tracks
        ("utm_source=x&utm_campaign=q2&UTM_Term=y", "", "utm_source utm_campaign UTM_Term"),
        ("fbclid=1&id=7&gclid=2&gbraid=3&wbraid=4", "id=7", "fbclid gclid gbraid wbraid"),
        ("dclid=1&ttclid=2&twclid=3&li_fat_id=4", "", "dclid ttclid twclid li_fat_id"),
        ("msclkid=1&igshid=2&igsh=3&mc_cid=4&mc_eid=5", "", "msclkid igshid igsh mc_cid mc_eid"),
        # Amazon
        (AWS, "", " ".join(piece.partition("=")[0] for piece in AWS.split("&"))),
        (f"versionId=3&{AWS.lower()}&x-id=GetObject", "versionId=3", None),
        (f"response-content-type=video%2Fmp4&{AWS}", "", None),
        ("X-Amz-Date=1&X-Amz-Expires=2&x-id=7", "X-Amz-Date=1&X-Amz-Expires=2&x-id=7", ""),
        ("AWSAccessKeyId=A&Signature=b%3D&Expires=1&a=3", "a=3", None),
        ("Expires=1&Signature=s__&Key-Pair-Id=K2", "", "Expires Signature Key-Pair-Id"),
        ("size=2&Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256", "size=2", None),
        ("Policy=home", "Policy=home", ""),
        # Google
        ("X-Goog-Algorithm=a&X-Goog-Date=b&X-Goog-Signature=c&generation=5", "generation=5", None),
        ("X-Goog-Date=b", "X-Goog-Date=b", ""),
        ("GoogleAccessId=a&Expires=1&Signature=b", "", "GoogleAccessId Expires Signature"),
        ("Expires=1&KeyName=k&Signature=b&color=red", "color=red", "Expires KeyName Signature"),
        # Azure
        ("sv=2024&st=1&se=2&sr=b&sp=r&spr=https&sip=1.2.3.4&sig=ab%3D", "", None),
        ("sv=2024&se=2&skoid=o&sktid=t&skt=1&ske=2&sks=b&skv=2&sig=ab%3D&id=7", "id=7", None),
        ("snapshot=2026&sv=2024&sig=a&rscd=inline", "snapshot=2026", "sv sig rscd"),
        ("sig=a&sp=4", "sig=a&sp=4", ""),
        ("sv=a&sr=b&sp=c", "sv=a&sr=b&sp=c", ""),
        # Akamai
        ("hdnts=exp=1~acl=/*~hmac=ab&id=7", "id=7", "hdnts"),
        ("hdnea=st=1~exp=2~hmac=ab", "", "hdnea"),
        ("__token__=exp=1~hmac=ab", "", "__token__"),
        # whoever else signs
        ("id=7&token=abc&expires=1", "id=7", "token expires"),
        ("expires=1&signature=ab", "", "expires signature"),
        ("md5=ab&expires=1&part=2", "part=2", "md5 expires"),
        ("token=ab&signature=cd&id=7", "id=7", "token signature"),
        # what may select content
        ("id=7&token=abc", "id=7&token=abc", ""),
        ("expires=1", "expires=1", ""),
        ("signature=ab", "signature=ab", ""),
        ("v=1&p=2&key=3&si=4&file=5&t=6&s=7&st=9", "v=1&p=2&key=3&si=4&file=5&t=6&s=7&st=9", ""),
        ("xutm_source=1&utm=2&fbclid2=3", "xutm_source=1&utm=2&fbclid2=3", ""),
        ("utm_source;id=7", "utm_source;id=7", ""),
        ("utm_source=x;id=7", "utm_source=x;id=7", ""),
        (f"id=7&{AWS}&X-Amz-SignedHeaders=host;range", "id=7", None),
        ("id=utm_source%26fbclid%3D1", "id=utm_source%26fbclid%3D1", ""),
        # spelling
        ("utm%5Fsource=x&%66bclid=1&a=1", "a=1", "utm_source fbclid"),
        ("b=2&&a=1&b=2", "b=2&&a=1&b=2", ""),
        ("b=2&utm_id=1&&a=1&utm_id=3", "b=2&&a=1", "utm_id"),
    ],
)  # fmt: skip
def test_what_signs_or_tracks_is_no_part_of_a_name(
    query: str, kept: str, dropped: str | None
) -> None:
    url = f"https://example.com/a/clip?{query}"
    name = name_video(url)
    assert name.url.exposed() == "https://example.com/a/clip" + (f"?{kept}" if kept else "")
    assert canonical(name.url.exposed()) == name.url
    if dropped is not None:
        assert name.dropped == tuple(dropped.split())


def test_a_token_that_may_name_the_video_stays() -> None:
    def named(url: str) -> str:
        return canonical(f"https://example.com{url}").exposed().removeprefix("https://example.com")

    assert named("/download?token=a&expires=1") == "/download?token=a"
    assert named("/get.php?md5=a&token=b&expires=1") == "/get.php?md5=a&token=b"
    assert named("/clip.mp4?token=a&expires=1") == "/clip.mp4"
    assert named("/get.php?file=7&token=a&expires=1") == "/get.php?file=7"


def test_shared_links_of_a_site_say_who_shared_them() -> None:
    url = "https://www.facebook.com/share/v/1AbC/?mibextid=x&rdid=y&share_url=z"
    assert canonical(url).exposed() == "https://www.facebook.com/share/v/1AbC/"
    assert (
        canonical("https://example.com/?mibextid=x").exposed() == "https://example.com/?mibextid=x"
    )
    clip = name_video("https://www.youtube.com/clip/Ugk?si=a&x=1")
    assert (clip.url.exposed(), clip.dropped) == ("https://www.youtube.com/clip/Ugk?x=1", ("si",))


def test_the_name_before_is_known_where_it_was_another() -> None:
    url = "https://cdn.example/a.mp4?id=7&Expires=1&Signature=s&Key-Pair-Id=K"
    assert [one.exposed() for one in names(url)] == ["https://cdn.example/a.mp4?id=7", url]
    assert names("https://cdn.example/a.mp4?id=7") == (canonical("https://cdn.example/a.mp4?id=7"),)
    assert name_video("s3://videos/a.mp4?utm_source=x").earlier == ()
    assert name_video("s3://videos/a.mp4?utm_source=x").dropped == ()


_VALUES = st.text("abz019", max_size=4)
_SELECTING = st.sampled_from(["id", "v", "p", "key", "file", "n", "versionId", "t", "si", "sp"])
_KEPT = st.lists(st.tuples(_SELECTING, _VALUES), max_size=4)
_GROUPS = (
    ("utm_source", "utm_content"),
    ("fbclid",),
    ("gclid", "gad_source"),
    ("X-Amz-Signature", "X-Amz-Date", "x-id"),
    ("X-Goog-Signature", "X-Goog-Expires"),
    ("Expires", "Signature", "Key-Pair-Id"),
    ("hdnts",),
    ("expires", "signature"),
)
_DECORATIONS = st.lists(st.sampled_from(_GROUPS), max_size=3).flatmap(
    lambda groups: st.tuples(*(st.tuples(st.just(name), _VALUES) for name in chain(*groups)))
)


@st.composite
def _decorated(draw: st.DrawFn, kept: list[tuple[str, str]]) -> str:
    """A link with these parameters in this order, and others that sign or track in between."""
    pairs = list(kept)
    for pair in draw(_DECORATIONS):
        pairs.insert(draw(st.integers(0, len(pairs))), pair)
    return "https://example.com/watch?" + "&".join(f"{name}={value}" for name, value in pairs)


@given(st.data(), _KEPT)
def test_links_that_differ_in_what_signs_or_tracks_are_one_video(
    data: st.DataObject, kept: list[tuple[str, str]]
) -> None:
    one, other = data.draw(_decorated(kept)), data.draw(_decorated(kept))
    assert canonical(one) == canonical(other)


@given(st.data(), _KEPT, _KEPT)
def test_links_that_differ_in_anything_else_never_become_one(
    data: st.DataObject, kept: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    assume(kept != others)
    one, other = data.draw(_decorated(kept)), data.draw(_decorated(others))
    assert canonical(one) != canonical(other)


_NAMES = st.sampled_from(
    [
        *("token", "md5", "expires", "exp", "signature", "sig", "sv", "se", "sp", "si", "Policy"),
        *("Key-Pair-Id", "Expires", "Signature", "KeyName", "AWSAccessKeyId", "GoogleAccessId"),
        *("X-Amz-Signature", "X-Amz-Date", "x-goog-signature", "hdnts", "utm_x", "id", "key", "a"),
    ]
)
_QUERY = st.lists(st.tuples(_NAMES, _VALUES), max_size=7).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
_PATH = st.sampled_from(["/", "/download", "/a/clip.mp4", "/v/7"])


@given(_PATH, _QUERY)
def test_a_name_is_what_is_left_of_the_link(path: str, query: str) -> None:
    """Parameters go whole or stay whole, in order, and none goes that is not reported."""
    name = name_video(f"https://example.com{path}?{query}")
    kept = name.url.exposed().partition("?")[2]
    left = [piece for piece in query.split("&") if piece.partition("=")[0] not in name.dropped]
    assert kept == "&".join(left)
    assert canonical(name.url.exposed()) == name.url
    assert not {"id", "key", "a"} & set(name.dropped)


@given(_PATH, _QUERY, _QUERY)
def test_links_are_one_only_if_what_they_keep_is_the_same(path: str, one: str, other: str) -> None:
    first = name_video(f"https://example.com{path}?{one}")
    second = name_video(f"https://example.com{path}?{other}")
    for selecting in ("id", "key", "a"):
        values = [
            [piece for piece in query.split("&") if piece.partition("=")[0] == selecting]
            for query in (one, other)
        ]
        if values[0] != values[1]:
            assert first.url != second.url
