"""Presigned URLs of videos in any bucket of the S3 server that is configured."""

from __future__ import annotations

from datetime import timedelta

from minio.error import S3Error

from registry.blobs.minio_client import S3Connection
from registry.blobs.minio_errors import CLIENT_ERRORS, RequestContext
from registry.errors import StoreError

_EMPTY_OBJECT = "InvalidRange"


class Buckets(S3Connection):
    """Objects of any bucket on one S3 server, to be read; threads may share it."""

    def address(self, bucket: str, key: str, seconds: float) -> str:
        """A URL from which anybody can fetch the object within so many seconds.

        Raises `StoreError` if the bucket or the object does not exist or cannot be read.
        """
        try:
            self._check_readable(bucket, key)
            expires = timedelta(seconds=max(1, int(seconds)))
            return self.client.presigned_get_object(bucket, key, expires=expires)
        except CLIENT_ERRORS as exc:
            if isinstance(exc, S3Error) and exc.code == "NoSuchBucket":
                raise StoreError(
                    f"There is no bucket {bucket} at {self.url}. Correct the URL."
                ) from exc
            what = f"object {key} in bucket {bucket}"
            raise RequestContext(self.url, bucket, what).error(exc) from exc

    def _check_readable(self, bucket: str, key: str) -> None:
        """Fetch the first byte: unlike the answer to HEAD, an answer to GET has a reason."""
        try:
            response = self.client.get_object(bucket, key, offset=0, length=1)
        except S3Error as exc:
            if exc.code == _EMPTY_OBJECT:
                return
            raise
        response.close()
        response.release_conn()
