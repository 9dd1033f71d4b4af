"""Units of numbers: currencies, per cent, seconds, and factors such as `K` and `Mio.` Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

PLAIN = ""
"""The unit of a number that is written without one."""
PERCENT, PER_MILLE, SECONDS = "%", "‰", "s"

RATIOS: Mapping[str, Decimal] = {
    PLAIN: Decimal(1),
    PERCENT: Decimal("0.01"),
    PER_MILLE: Decimal("0.001"),
}
"""Units that convert into each other, and their value as a plain ratio."""

_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP "
    "BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR "
    "KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR "
    "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS "
    "UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW"
)
_ISO_CODES = frozenset(_CODES.split())
"""Currencies in circulation (ISO 4217, list one of 2024, without funds and metals)."""

_WRITTEN: Mapping[str, str] = {
    "€": "EUR", "£": "GBP", "us$": "USD", "a$": "AUD", "au$": "AUD", "c$": "CAD", "ca$": "CAD",
    "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "nt$": "TWD", "mx$": "MXN", "r$": "BRL", "zł": "PLN",
    "zl": "PLN", "kč": "CZK", "ft": "HUF", "lei": "RON", "лв": "BGN", "лв.": "BGN", "₽": "RUB",
    "руб": "RUB", "руб.": "RUB", "₴": "UAH", "₺": "TRY", "tl": "TRY", "₹": "INR", "₩": "KRW",
    "₪": "ILS", "₫": "VND", "฿": "THB", "₱": "PHP", "₦": "NGN", "fr": "CHF", "fr.": "CHF",
    "sfr": "CHF", "sfr.": "CHF", "rm": "MYR", "rp": "IDR", "rp.": "IDR", "s/": "PEN", "s/.": "PEN",
    "jp¥": "JPY", "cn¥": "CNY", "uk£": "GBP", "br$": "BRL", "$us": "USD", "$au": "AUD",
    "$ca": "CAD",
    "円": "JPY", "元": "CNY", "원": "KRW", "kr": "kr", "kr.": "kr", "rs": "Rs", "rs.": "Rs",
    "$": "$", "¥": "¥",
}  # fmt: skip
"""Signs and abbreviations (Unicode CLDR's symbols and what banks print), case ignored."""

_DOLLARS = {"USD", "AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "MXN", "ARS", "CLP", "COP"}
_SEVERAL: Mapping[str, frozenset[str]] = {
    "$": frozenset(_DOLLARS),
    "¥": frozenset({"JPY", "CNY"}),
    "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}),
    "Rs": frozenset({"INR", "PKR", "LKR", "NPR", "MUR"}),
}
"""Signs that several currencies share."""

_OTHERS: Mapping[str, str] = {
    "%": PERCENT, "٪": PERCENT, "‰": PER_MILLE, "؉": PER_MILLE,
    "x": PLAIN, "×": PLAIN,
    "s": SECONDS, "sec": SECONDS, "sec.": SECONDS, "sek": SECONDS, "sek.": SECONDS,
}  # fmt: skip
"""Units that follow the number. `4.2x` is a plain ratio."""

_SCALES: Mapping[str, Decimal] = {
    word: Decimal(10) ** power
    for power, words in {
        3: "tsd tys тыс тис хил tis 천 thousand",
        4: "万 萬 만",
        5: "lakh lac",
        6: "mn mio mln mill million millions milj mi млн",
        7: "crore cr",
        8: "億 亿 억",
        9: "md mrd mld mia milliard млрд",
    }.items()
    for word in words.split()
}
"""The factor of a word after the number, case and a final dot ignored (Unicode CLDR's short
forms). Not here, because they mean different numbers in different languages: `mil` (a thousand in
Spanish, a million in Polish), `billion`, `Bn` and `B` (10^9 in English, 10^12 in French, 10^3 in
Turkish), `bi`, `tn`, and `m` (also minutes).
"""
_LETTERS: Mapping[str, Decimal] = {"k": Decimal(1000), "K": Decimal(1000), "M": Decimal(10**6)}


def currency(text: str) -> str | None:
    """The unit that a currency's code, sign or abbreviation stands for; None if unknown."""
    text = text.replace(" ", "")
    if text.upper() in _ISO_CODES:
        return text.upper()
    known = _WRITTEN.get(text.casefold())
    if known:
        return known
    return text if len(text) == 1 and unicodedata.category(text) == "Sc" else None


def is_money(unit: str) -> bool:
    """Whether a unit is a currency."""
    return unit not in RATIOS and unit != SECONDS


@lru_cache(maxsize=4096)
def affixes(front: str, back: str) -> tuple[str, Decimal]:
    """The unit and the factor in the text before and after a number.

    Raises `ValueError` if they are not a unit or a factor.
    """
    front, back = front.strip(), back.strip()
    before = "ZAR" if front == "R" else currency(front) if front else PLAIN
    after = _suffix(back)
    if before is None or after is None:
        raise ValueError("the text beside the number is not a known unit")
    unit, scale = after
    if before and unit:
        if unit not in _SEVERAL.get(before, (before,)):
            raise ValueError("it has two units")
        return unit, scale
    return before or unit, scale


def _suffix(text: str) -> tuple[str, Decimal] | None:
    """`%`, `zł`, `K`, `Mio. €`."""
    whole = _unit(text)
    if whole is not None:
        return whole, Decimal(1)
    for end in range(len(text), 0, -1):
        word = text[:end].strip().removesuffix(".")
        scale = _LETTERS.get(word) or _SCALES.get(word.casefold())
        unit = _unit(text[end:].strip())
        if scale is not None and unit is not None:
            return unit, scale
    return None


def _unit(text: str) -> str | None:
    if not text:
        return PLAIN
    other = _OTHERS.get(text.casefold())
    return currency(text) if other is None else other


def parse_unit(text: str) -> str | None:
    """The unit given in an option: `plain`, `%`, `s`, `USD`; None if it is unknown."""
    name = text.strip()
    return PLAIN if name.casefold() in {"", "plain", "1"} else _unit(name)


def format_unit(unit: str) -> str:
    """A unit as written in options and messages; `parse_unit` parses it."""
    return unit or "plain"


def same_money(units: set[str], bare: str = PLAIN) -> str | None:
    """The one currency that all these units stand for, or None.

    A sign that several currencies share stands for `bare` if that is one of them, else for the only
    other currency of the set; the dollar sign for the US dollar only.
    """
    units = {bare if bare in _SEVERAL.get(unit, ()) else unit for unit in units}
    if len(units) == 1:
        return next(iter(units))
    codes = {unit for unit in units if unit not in _SEVERAL}
    if len(codes) != 1:
        return None
    (code,) = codes
    meant = {"$": {"USD"}}
    return code if all(code in meant.get(sign, _SEVERAL[sign]) for sign in units - codes) else None


def meanings(units: set[str]) -> list[str]:
    """The currencies of the set that a shared sign of the set can stand for."""
    return sorted(
        code for code in units if any(code in _SEVERAL.get(sign, ()) for sign in units - {code})
    )
