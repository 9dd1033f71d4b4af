"""Videos in buckets of the S3 server that is set up: from bucket and key to an address."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from minio import Minio
from minio.error import S3Error

from registry.blobs.http_pool import Pool
from registry.blobs.minio_errors import FOREIGN, Place
from registry.blobs.minio_store import parsed_endpoint
from registry.errors import StoreError, UsageError
from registry.system.certificates import tls_context

_EMPTY = "InvalidRange"


class Buckets:
    """Objects of any bucket on one S3 server, to be read; any number of threads may ask."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        *,
        secure: bool = True,
        region: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """As `MinioStore`; nothing is asked yet. Raises `UsageError`."""
        secure, host = parsed_endpoint(endpoint, secure=secure)
        self._endpoint = f"{'https' if secure else 'http'}://{host}"
        self.tls = tls_context(ca_file)
        """Whom to trust on the way to an address."""
        self._pool = Pool(timeout_s=timeout_s, tls=secure, ca_file=ca_file)
        try:
            self._client = Minio(
                host, access_key, secret_key, secure=secure, region=region, http_client=self._pool
            )
        except ValueError as exc:
            raise UsageError(f"MINIO_ENDPOINT or MINIO_REGION is none: {exc}") from exc

    def address(self, bucket: str, key: str, seconds: float) -> str:
        """A URL that gives the object to whoever asks within so many seconds.

        Raises `StoreError` if there is no such bucket or object, or no access to it.
        """
        try:
            self._ask(bucket, key)
            good_for = timedelta(seconds=max(1, int(seconds)))
            return self._client.presigned_get_object(bucket, key, expires=good_for)
        except S3Error as exc:
            if exc.code == "NoSuchBucket":
                raise StoreError(f"there is no bucket {bucket} at {self._endpoint}") from exc
            raise self._error(bucket, key, exc) from exc
        except FOREIGN as exc:
            raise self._error(bucket, key, exc) from exc

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _ask(self, bucket: str, key: str) -> None:
        """For the first byte: only the answer to a GET says what is wrong."""
        try:
            response = self._client.get_object(bucket, key, offset=0, length=1)
        except S3Error as exc:
            if exc.code == _EMPTY:
                return
            raise
        response.close()
        response.release_conn()

    def _error(self, bucket: str, key: str, exc: Exception) -> StoreError:
        return Place(self._endpoint, bucket, f"object {key} in bucket {bucket}").error(exc)
