from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.errors import UsageError
from registry.urls import canonical, parse
from registry.urls.naming import VideoName, name_video


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.com/A", "http://example.com/A"),
        ("  https://example.com/a  ", "https://example.com/a"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("https://example.com:0443/", "https://example.com/"),
        ("https://example.com./a", "https://example.com/a"),
        ("https://user:word@example.com/a", "https://example.com/a"),
        ("https://a@b:c@example.com/a", "https://example.com/a"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("https://example.com/a?", "https://example.com/a"),
        ("https://example.com/a?b=2&a=1&b=2", "https://example.com/a?b=2&a=1&b=2"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../a", "https://example.com/a"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/a/.", "https://example.com/a/"),
        ("https://example.com/a//b", "https://example.com/a//b"),
        ("https://example.com/%2e%2E/a/%2e/b", "https://example.com/a/b"),
        ("https://example.com/%7ejoe/%41", "https://example.com/~joe/A"),
        ("https://example.com/a%2fb", "https://example.com/a%2Fb"),
        ("https://example.com/100%", "https://example.com/100%25"),
        ("https://example.com/%zz", "https://example.com/%25zz"),
        ("https://example.com/my clip.mp4", "https://example.com/my%20clip.mp4"),
        ("https://example.com/é?q=é", "https://example.com/%C3%A9?q=%C3%A9"),
        ("https://example.com/[a]|b", "https://example.com/%5Ba%5D%7Cb"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://my_bucket.example/", "https://my_bucket.example/"),
        ("http://１２７.０.０.１/", "http://127.0.0.1/"),
        ("http://⑯⑨。②⑤④。⑯⑨｡②⑤④/", "http://169.254.169.254/"),
        ("http://%31%32%37.0.0.1/", "http://127.0.0.1/"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
        ("http://[::ffff:127.0.0.1]:8000/", "http://127.0.0.1:8000/"),
        ("file:///a/b%20c.mp4", "file:///a/b%20c.mp4"),
        ("file:///a/./x/../b c.mp4", "file:///a/b%20c.mp4"),
        ("FILE://localhost/a.mp4", "file:///a.mp4"),
        ("file:/a.mp4", "file:///a.mp4"),
        ("file://Server/share/a b.mp4", "file://server/share/a%20b.mp4"),
        ("file:///C:/Videos/a.mp4", "file:///C:/Videos/a.mp4"),
    ],
)
def test_spellings_of_one_url_have_one_canonical_form(written: str, expected: str) -> None:
    assert canonical(written).exposed() == expected
    assert canonical(expected).exposed() == expected


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "does not start with http"),
        ("example.com/a.mp4", "does not start with http"),
        ("gs://bucket/key", "does not start with http"),
        ("javascript:alert(1)", "does not start with http"),
        ("http:///a", "names no host"),
        ("http://user@/a", "names no host"),
        ("http://a b/", "is not a host name"),
        ("http://a..b/", "is not a host name"),
        ("http://a%00b/", "is not a host name"),
        ("http://a%2fb/", "is not a host name"),
        (f"http://{'a' * 64}.example/", "is not a host name"),
        (f"http://{'a.' * 127}example/", "is not a host name"),
        ("http://xn--a.ü/", "is not a host name"),
        ("http://good.example\\@evil.example/", "backslash"),
        ("http://a:0/", "port"),
        ("http://a:65536/", "port"),
        ("http://a:80:81/", "port"),
        ("http://a:-1/", "port"),
        ("http://a:٣/", "port"),
        ("http://[::1/", "cannot be read"),
        ("http://[::1]x/", "follows the ]"),
        ("http://[::g]/", "cannot be read|not an IPv6 address"),
        ("http://[v1.a]/", "cannot be read|not an IPv6 address"),
        ("http://[fe80::1%25eth0]/", "zone id"),
        ("http://a/\x00", "control character"),
        ("ht\ntp://a/", "control character"),
        ("http://a/\ud800", "surrogate"),
        ("file:///a\x1b", "control character"),
        ("file:///a%00b", "control character"),
        ("file:///a/\ud800", "surrogate"),
        ("file:a.mp4", "not absolute"),
        ("file://anna@server/share/a.mp4", "not a host name"),
        ("file:///a?b", "no query"),
        ("file://[::1", "cannot be read"),
    ],
)
def test_what_is_no_url_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        canonical(written)


_ANY = st.text(max_size=60)
_URLS = st.builds(
    "{}://{}{}{}/{}?{}#{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(["", "user:word@", "a@b@"]),
    st.sampled_from(["example.com", "EXAMPLE.com.", "bücher.example", "127.1", "[::1]"]),
    st.sampled_from(["", ":80", ":443", ":8000"]),
    _ANY,
    _ANY,
    _ANY,
)


@given(st.one_of(_URLS, _ANY, _ANY.map("file:///{}".format)))
@example("http://a/%2541%%34%31")
@example("http://a//..//%2e")
def test_a_canonical_url_is_its_own_canonical_form(written: str) -> None:
    try:
        once = canonical(written).exposed()
    except UsageError:
        return
    assert canonical(once).exposed() == once
    assert once.isascii()
    assert not any(letter.isspace() for letter in once)


_FILES = st.builds(
    "http{}://{}/{}.{}{}".format,
    st.sampled_from(["", "s"]),
    st.one_of(
        st.from_regex(r"[a-zA-Z0-9._-]{1,12}\.[a-z]{2,3}", fullmatch=True),
        st.sampled_from(
            ["youtube.com", "www.facebook.com", "a" * 64 + ".com", "abc." * 70 + "com"]
        ),
    ),
    st.text("abZ09-_~./%2e", max_size=20),
    st.sampled_from(["mp4", "webm", "MOV", "html"]),
    st.sampled_from(
        ["", "?", "?v=1&utm_source=x", "?sig=a&se=b", "?token=t&expires=5", "?a;b=%31"]
    ),
)


@given(_FILES)
@example("https://a.example/v/./1.mp4")
@example("https://a.example/v../.1.mp4")
@example("https://a.example//1.mp4")
def test_the_name_of_a_plain_file_is_found_without_parsing(url: str) -> None:
    """A fragment, which is dropped, makes the long way be taken."""
    names: list[VideoName | None] = []
    for written in (url, f"{url}#t=5"):
        try:
            names.append(name_video(written))
        except UsageError:
            names.append(None)
    assert names[0] == names[1]


@given(_URLS)
def test_what_is_sent_names_the_same_video(written: str) -> None:
    try:
        parsed = parse(written)
    except UsageError:
        return
    assert canonical(str(parsed)) == canonical(written)
    assert parsed.target.isascii()
    assert not any(letter.isspace() for letter in parsed.target)


def test_what_is_sent_keeps_the_spelling() -> None:
    parsed = parse("https://u%40x:p%3Aw@cdn.example:8443/%7ea%2fb?acl=%2f*~hmac=ab&t=%41#x")
    assert parsed.target == "/%7ea%2fb?acl=%2f*~hmac=ab&t=%41"
    assert parsed.authority == "cdn.example:8443"
    assert parsed.origin == ("https", "cdn.example", 8443)
    assert parsed.credentials == "u@x:p:w"
    assert "p:w" not in repr(parsed)
    assert repr(parsed) == "HttpUrl('https://cdn.example:8443/%7ea%2fb?acl=***&t=%41')"
    assert "p:w" not in str(parsed)
