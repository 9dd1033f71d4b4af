"""Whom to trust on the other end of a TLS connection."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import certifi

from registry.errors import UsageError


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names.

    It trusts the system's certificate authorities (SSL_CERT_FILE and SSL_CERT_DIR name others) and
    Mozilla's; with `ca_file` (PEM) the ones in it instead. Raises `UsageError` if it holds none.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # an SSLError is one as well
        raise UsageError(f"{ca_file} holds no certificates in PEM ({exc})") from exc
    context.set_alpn_protocols(["http/1.1"])  # what all clients of these contexts speak
    if ca_file is None:
        # Some Pythons, python.org's for macOS among them, come without any authorities.
        context.load_verify_locations(certifi.where())
    return context


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that nobody is on the way to it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
