"""Errors of an S3 server, of the connection and of the `minio` client, as those of the registry."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import (
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError,
)

from registry.errors import (
    ObjectMissing,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
)

CLIENT_ERRORS = (MinioException, HTTPError, ParseError, ValueError, OSError)
"""Every exception that `minio` and the libraries below it raise."""

_MISSING = {"NoSuchKey", "NoSuchVersion"}
_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_FULL = {  # of MinIO, MinIO and Ceph
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "QuotaExceeded",
}
_CORRUPT = {
    "BadDigest",
    "IncompleteBody",
    "InvalidDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
_BUSY = (429, 502, 503, 504)
"""HTTP statuses that count as unreachable when retries have not helped."""
_FORBIDDEN, _INSUFFICIENT_STORAGE = 403, 507


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The target of a request, for its error message."""

    endpoint: str
    """URL of the server."""
    bucket: str
    what: str
    """The object or the bucket."""

    def error(self, exc: Exception) -> StoreError:
        """The registry's error for one of `CLIENT_ERRORS`."""
        match exc:
            case S3Error():
                return self._answered(exc.response.status, exc.code or "", exc.message or "")
            case InvalidResponseError():
                return self._answered(exc._code, "", "")  # it has no public name for the status
            case ServerError():
                return self._answered(exc.status_code, "", "")
            case MaxRetryError() if exc.reason is not None:
                return self._unreachable(exc.reason)
            case ProtocolError() if _cut_short(exc):
                return StoreCorrupt(
                    f"The {self.what} was shorter than {self.endpoint} announced, twice. Check the "
                    "server and the proxies in between."
                )
            case HTTPError() | OSError():
                return self._unreachable(exc)
            case _:
                return StoreError(
                    f"{self.endpoint} did not answer like an S3 server for {self.what} ({exc}). "
                    "Correct MINIO_ENDPOINT."
                )

    def _answered(self, status: int, code: str, message: str) -> StoreError:
        answer = f"{status} {code}: {message}" if code else str(status)
        if code in _MISSING:
            return ObjectMissing(f"There is no {self.what} at {self.endpoint}.")
        if code == "NoSuchBucket":
            return StoreError(
                f"There is no bucket {self.bucket} at {self.endpoint}. "
                "Create it, or correct MINIO_BUCKET."
            )
        if code in _FULL or status == _INSUFFICIENT_STORAGE or "no space left" in message.lower():
            return StoreFull(
                f"{self.endpoint} has no space left for {self.what} ({answer}). Free some."
            )
        if code == "RequestTimeTooSkewed":
            return StoreDenied(
                f"{self.endpoint} refused a request because its clock and this machine's differ "
                "by more than 15 minutes. Correct them."
            )
        if code in _DENIED or (not code and status == _FORBIDDEN):
            return StoreDenied(
                f"{self.endpoint} refused access to {self.what} ({answer}). "
                "Correct MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or the permissions of the key."
            )
        if code in _CORRUPT:
            return StoreCorrupt(
                f"The {self.what} did not reach {self.endpoint} unchanged ({answer}). Try again."
            )
        if status in _BUSY:
            return StoreUnreachable(
                f"{self.endpoint} is too busy or not ready for {self.what}, also after several "
                f"attempts ({answer}). Try again later."
            )
        if not code:
            return StoreError(
                f"{self.endpoint} did not answer like an S3 server for {self.what} ({answer}). "
                "Correct MINIO_ENDPOINT."
            )
        return StoreError(f"{self.endpoint} failed for {self.what} ({answer}).")

    def _unreachable(self, reason: Exception) -> StoreUnreachable:
        match reason:
            case SSLError():
                return StoreUnreachable(
                    f"{self.endpoint} has no trusted certificate ({reason}). Name "
                    "the certificate of its authority in MINIO_CA_FILE, or set MINIO_SECURE=false "
                    "for a server without TLS."
                )
            case NameResolutionError():
                why = "its name does not resolve"
            case NewConnectionError():
                why = str(getattr(reason.__cause__, "strerror", None) or "no connection")
            case TimeoutError():
                why = "it took too long"
            case _:
                why = "the connection broke"
        return StoreUnreachable(
            f"There is no answer from {self.endpoint} ({why}). Start the server, or correct "
            "MINIO_ENDPOINT."
        )


def _cut_short(exc: ProtocolError) -> bool:
    return any(isinstance(part, http.client.IncompleteRead) for part in exc.args)
