"""Certificate authorities to trust in TLS connections."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import certifi

from registry.errors import UsageError


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Create a TLS context that verifies certificates and host names.

    Args:
        ca_file: a PEM file of the authorities to trust. By default the system's (or those that
            SSL_CERT_FILE and SSL_CERT_DIR name) and Mozilla's are trusted.

    Raises `UsageError` if the file contains no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # SSLError is a subclass
        raise UsageError(
            f"{ca_file} contains no certificates in PEM format ({exc}). Correct the _CA_FILE "
            "setting."
        ) from exc
    context.set_alpn_protocols(["http/1.1"])  # what all clients of these contexts speak
    if ca_file is None:
        # Some builds of Python, such as python.org's for macOS, have no authorities of their own.
        context.load_verify_locations(certifi.where())
    return context


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that traffic to it cannot be intercepted."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
