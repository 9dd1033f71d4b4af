"""Query parameters that do not say which video is meant: those that sign a link or track a click.

A link that is signed anew each week names the same video each week. Names are compared without
regard to case. What is not listed here is kept, and a name that could select content is listed
only together with what must stand beside it: `sig` counts with `se` or `sv`, `expires` alone does
not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_ANOTHER = re.compile(";[^=]*=")
"""Some servers divide parameters by semicolons too."""

CLICKS = frozenset(
    {
        # Google Ads and Campaign Manager 360. https://support.google.com/google-ads/answer/1752125
        # (gclid), .../google-ads/answer/16297842 (gbraid), .../analytics/answer/16479993 (gad_*),
        # .../campaignmanager/answer/9182069 (dclid), .../searchads/answer/7342044 (gclsrc),
        # https://developers.google.com/google-ads/api/reference/rpc/v21/ClickConversionResult
        # (wbraid)
        *("gclid", "gbraid", "wbraid", "dclid", "gclsrc", "gad_source", "gad_campaignid"),
        # https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/fbp-and-fbc
        "fbclid",
        # https://ads.tiktok.com/help/article/tiktok-click-id
        "ttclid",
        # https://help.ads.microsoft.com/apex/index/3/en/60125
        "msclkid",
        # https://learn.microsoft.com/linkedin/marketing/conversions/enabling-first-party-cookies
        "li_fat_id",
        # X, Mailchimp and Instagram publish no description of these. ClearURLs
        # (https://github.com/ClearURLs/Rules) and AdGuard's URL tracking filter list them.
        *("twclid", "mc_cid", "mc_eid", "igshid", "igsh"),
    }
)
"""Who clicked, on what advertisement, or who shared a link: on any site."""

CAMPAIGN_PREFIX = "utm_"
"""Google Analytics: https://support.google.com/analytics/answer/10917952."""

SHARED = {
    # The sites' share buttons add them and publish no description. ClearURLs and AdGuard's URL
    # tracking filter (https://github.com/AdguardTeam/AdguardFilters) list them.
    "facebook.com": frozenset({"mibextid", "rdid", "share_url", "sfnsn", "_rdr"}),
    "fb.watch": frozenset({"mibextid", "sfnsn"}),
    "tiktok.com": frozenset({"_r", "_t", "is_from_webapp", "sender_device", "web_id"}),
    "youtu.be": frozenset({"si"}),
    "youtube.com": frozenset({"si"}),
}
"""Who shared a link, by site (see `registry.urls.sites.SITES`)."""

AKAMAI = frozenset({"hdnts", "hdnea", "hdntl", "__hdnea__", "__token__"})
"""A whole token in one parameter, `exp=…~acl=…~hmac=…`: `__token__` is the default of Akamai's own
https://github.com/akamai/EdgeAuth-Token-Python, `__hdnea__` of Kaltura's nginx module, `hdnts` of
https://rubydoc.info/gems/akamai-edge_auth; the name is the customer's to choose."""

RESPONSE_HEADERS = frozenset(
    f"response-{name}"
    for name in (
        *("cache-control", "content-disposition", "content-encoding", "content-language"),
        *("content-type", "expires"),
    )
)
"""Headers that the answer to a signed request is to have; its bytes are the same.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How one service signs links: with `drops`, which count where all of `needs` are present."""

    needs: tuple[frozenset[str], ...]
    """Of each set, one must be there."""
    drops: frozenset[str] = frozenset()
    prefix: str = ""
    """All names that start so are dropped too."""


def _any(*names: str) -> frozenset[str]:
    return frozenset(names)


SIGNINGS = (
    # Amazon S3, signature version 4, and whatever speaks it.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    # x-id is the operation's name, which the SDK for JavaScript adds (`x-id=GetObject`).
    Signing((_any("x-amz-signature"),), RESPONSE_HEADERS | {"x-id"}, prefix="x-amz-"),
    # Amazon S3, signature version 2.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html
    Signing(
        (_any("awsaccesskeyid"), _any("signature"), _any("expires")),
        RESPONSE_HEADERS | {"awsaccesskeyid", "signature", "expires", "x-amz-security-token"},
    ),
    # Amazon CloudFront, canned and custom policies.
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
    Signing(
        (_any("key-pair-id"), _any("signature"), _any("expires", "policy")),
        _any("key-pair-id", "signature", "expires", "policy", "hash-algorithm"),
    ),
    # Google Cloud Storage, V4 and V2.
    # https://cloud.google.com/storage/docs/authentication/signatures
    # https://cloud.google.com/storage/docs/access-control/signed-urls-v2
    Signing((_any("x-goog-signature"),), RESPONSE_HEADERS, prefix="x-goog-"),
    Signing(
        (_any("googleaccessid"), _any("signature"), _any("expires")),
        RESPONSE_HEADERS | {"googleaccessid", "signature", "expires"},
    ),
    # Google Cloud CDN. https://cloud.google.com/cdn/docs/using-signed-urls
    Signing(
        (_any("keyname"), _any("signature"), _any("expires")),
        _any("keyname", "signature", "expires", "urlprefix"),
    ),
    # Azure Storage: service, account and user delegation SAS. `snapshot` and `versionid` select
    # content and stay. https://learn.microsoft.com/rest/api/storageservices/create-service-sas,
    # .../create-account-sas, .../create-user-delegation-sas
    Signing(
        (_any("sig"), _any("se", "sv")),
        _any(
            *("sig", "se", "st", "sv", "sr", "sp", "ss", "srt", "sip", "spr", "si", "ses", "sdd"),
            *("skoid", "sktid", "skt", "ske", "sks", "skv", "skdutid", "sduoid", "saoid", "suoid"),
            *("scid", "rscc", "rscd", "rsce", "rscl", "rsct"),
        ),
    ),
)
"""Services that sign links, with the vendor's description of each."""

EXPIRIES = frozenset({"expires", "expire", "expiry", "exp"})
SIGNATURES = frozenset({"signature", "sig", "hmac"})
TOKENS = frozenset({"token", "md5"})
"""Any two of these three kinds sign a link: Bunny's and KeyCDN's `token` and `expires`
(https://docs.bunny.net/docs/cdn-token-authentication), nginx's `md5` and `expires`
(https://nginx.org/en/docs/http/ngx_http_secure_link_module.html), and many a site's own.

A token may itself be what names the video (`/download?token=…`). So it is dropped only where
something else does: the path ends in the name of a video file, or another parameter stays.
"""


def without_signatures(query: str, site: str, *, names_file: bool) -> tuple[str, tuple[str, ...]]:
    """The query without what only signs or tracks, and the names of the parameters dropped.

    Args:
        query: normalised (`registry.urls.parsing.normalised_query`), without the question mark.
        site: the well-known site that the URL is of; "" for any other.
        names_file: whether the URL's path ends in the name of a video file.
    """
    pieces = query.split("&")
    names = [_name(piece) for piece in pieces]
    dropped = _dropped(names, site, names_file=names_file)
    if not dropped:
        return query, ()
    kept = "&".join(piece for piece, name in zip(pieces, names, strict=True) if name not in dropped)
    written = (piece.partition("=")[0] for piece in pieces)
    gone = (name for name in written if name.lower() in dropped)
    return kept, tuple(dict.fromkeys(gone))


def _name(piece: str) -> str:
    """The name of a parameter, in lower case; ";" where a semicolon may begin another one."""
    name, _, value = piece.partition("=")
    return ";" if ";" in name or _ANOTHER.search(value) else name.lower()


def _dropped(names: Collection[str], site: str, *, names_file: bool) -> set[str]:
    present = set(names)
    dropped = present & (CLICKS | AKAMAI | SHARED.get(site, frozenset()))
    dropped |= {name for name in present if name.startswith(CAMPAIGN_PREFIX)}
    for signing in SIGNINGS:
        if all(present & one_of for one_of in signing.needs):
            dropped |= present & signing.drops
            if signing.prefix:
                dropped |= {name for name in present if name.startswith(signing.prefix)}
    kinds = [present & kind for kind in (EXPIRIES, SIGNATURES, TOKENS)]
    if sum(map(bool, kinds)) > 1:
        dropped |= kinds[0] | kinds[1]
        if names_file or present - dropped - TOKENS - {""}:
            dropped |= kinds[2]
    return dropped
