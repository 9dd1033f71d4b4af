"""Query parameters that do not select a video: those that sign a link or track a click.

A link that is signed again each week is the same video each week. A parameter that is not listed
here is kept. A name that may select content elsewhere is dropped only together with others of the
same signature: `sig` with `se` or `sv`, `expires` with a signature, never alone. Two different
videos under one name would be a silent error, one video under two names is recognised by its
content. Names are compared without regard to case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

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
        # X, Mailchimp and Instagram: not described by their vendors; listed by ClearURLs
        # (https://github.com/ClearURLs/Rules) or AdGuard (github.com/AdguardTeam/AdguardFilters).
        *("twclid", "mc_cid", "mc_eid", "igshid", "igsh"),
    }
)
"""Identifiers of clicks and of shared links, on any site."""

CAMPAIGN_PREFIX = "utm_"
"""Google Analytics: https://support.google.com/analytics/answer/10917952."""

SHARED = {
    # Not described by the sites: seen on links that their share buttons make, and listed by filter
    # lists for trackers (ClearURLs, AdGuard).
    "facebook.com": frozenset({"mibextid", "rdid", "share_url", "sfnsn", "_rdr"}),
    "fb.watch": frozenset({"mibextid", "sfnsn"}),
    "tiktok.com": frozenset({"_r", "_t", "is_from_webapp", "sender_device", "web_id"}),
    "youtu.be": frozenset({"si"}),
    "youtube.com": frozenset({"si"}),
}
"""Parameters of share buttons, by site (see `registry.urls.sites.SITES`)."""

AKAMAI = frozenset({"hdnts", "hdnea", "hdntl", "__hdnea__", "__token__"})
"""Akamai's token in one parameter, `exp=…~acl=…~hmac=…`. Customers choose the name; these are the
defaults of https://github.com/akamai/EdgeAuth-Token-Python (`__token__`), of
https://github.com/kaltura/nginx-secure-token-module (`__hdnea__`), and of
https://rubydoc.info/gems/akamai-edge_auth (`hdnts`), and common variants."""

RESPONSE_HEADERS = frozenset(
    f"response-{name}"
    for name in (
        *("cache-control", "content-disposition", "content-encoding", "content-language"),
        *("content-type", "expires"),
    )
)
"""Headers to set in the answer to a signed request, whose body they do not change.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How one service signs links."""

    needs: tuple[frozenset[str], ...]
    """A link is signed in this way if it has one parameter of each set."""
    drops: frozenset[str] = frozenset()
    """Parameters to drop from such a link."""
    prefix: str = ""
    """Further parameters to drop, by the beginning of their name."""


def _any(*names: str) -> frozenset[str]:
    return frozenset(names)


SIGNINGS = (
    # Amazon S3, signature version 4, and compatible servers.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    # x-id is the name of the operation, added by the SDK for JavaScript (`x-id=GetObject`).
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
    # content and are kept. https://learn.microsoft.com/rest/api/storageservices/create-service-sas,
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
"""Services that sign links, each with the vendor's description."""

EXPIRIES = frozenset({"expires", "expire", "expiry", "exp"})
SIGNATURES = frozenset({"signature", "sig", "hmac"})
TOKENS = frozenset({"token", "md5"})
"""A link with parameters of two of these three kinds is signed: `token` and `expires` of Bunny
(https://docs.bunny.net/docs/cdn-token-authentication), `md5` and `expires` of nginx
(https://nginx.org/en/docs/http/ngx_http_secure_link_module.html), and those of many sites.

A token may also be what selects the video (`/download?token=…`). So it is dropped only if something
else can: the path ends in the name of a video file, or another parameter is kept.
"""


_ALWAYS = CLICKS | AKAMAI


def without_signatures(query: str, site: str, *, names_file: bool) -> tuple[str, tuple[str, ...]]:
    """The query without parameters that sign or track, and the names of those dropped.

    Args:
        query: normalised (`registry.urls.parsing.normalised_query`), without the question mark.
        site: the well-known site that the URL is of; "" for any other.
        names_file: whether the URL's path ends in the name of a video file.
    """
    pieces = query.split("&")
    names = tuple([_name(piece) for piece in pieces])
    dropped = _dropped(names, site, names_file)
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


@lru_cache(maxsize=1024)  # the links of a table have the same few sets of parameters
def _dropped(names: tuple[str, ...], site: str, names_file: bool) -> frozenset[str]:
    present = set(names)
    dropped = present & _ALWAYS
    dropped |= present & SHARED.get(site, frozenset())
    dropped |= {name for name in present if name.startswith(CAMPAIGN_PREFIX)}
    for signing in SIGNINGS:
        if not any(present.isdisjoint(one_of) for one_of in signing.needs):
            dropped |= present & signing.drops
            if signing.prefix:
                dropped |= {name for name in present if name.startswith(signing.prefix)}
    kinds = [present & kind for kind in (EXPIRIES, SIGNATURES, TOKENS)]
    if sum(map(bool, kinds)) > 1:
        dropped |= kinds[0] | kinds[1]
        if names_file or present - dropped - TOKENS - {""}:
            dropped |= kinds[2]
    return frozenset(dropped)
