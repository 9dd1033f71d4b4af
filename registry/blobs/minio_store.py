"""Objects in a bucket of MinIO or of any other S3 server."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from minio.error import S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from registry.blobs.base import BlobInfo, check_key, is_key, put_at_once, starts_keys
from registry.blobs.minio_client import S3Connection
from registry.blobs.minio_errors import CLIENT_ERRORS, RequestContext
from registry.errors import ObjectMissing, StoreCorrupt, StoreDenied, StoreError, UsageError

_CREDENTIAL = re.compile(r"[!-~]+")
_DIGEST = "sha256"
"""User metadata (`x-amz-meta-sha256`) with which every object is written and checked."""
_MIN_PART = 5 * 2**20
"""Bytes: the smallest part size of S3. Larger objects are sent as one part of their own size."""
_PRESIGNED = timedelta(minutes=5)
"""How long the presigned URL of a conditional write is valid."""
_OK = 200
_UNMET = (404, 409, 412)
"""S3's answers to an unmet condition: the object does not exist, another write is in progress, or
the tag differs."""
_CREATED_MEANWHILE = "BucketAlreadyOwnedByYou"
_NO_VERSIONING = ("NotImplemented", "MethodNotAllowed")


class MinioStore:
    """A `BlobStore` in one bucket, below one prefix; threads may share it.

    Objects have their SHA-256 as metadata, and reading one that does not match it raises
    `StoreCorrupt`. In a bucket that keeps versions, `delete` removes every version.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        *,
        secure: bool = True,
        region: str | None = None,
        create: bool = True,
        prefix: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Open the bucket, created if it does not exist and `create`.

        `prefix` is put before every key, with a `/` between. The other arguments are those of
        `S3Connection`. Raises `UsageError` for invalid arguments, else `StoreError`.
        """
        for name, value in (("MINIO_ACCESS_KEY", access_key), ("MINIO_SECRET_KEY", secret_key)):
            if not _CREDENTIAL.fullmatch(value):
                raise UsageError(
                    f"{name} is empty or contains a blank or another character that keys do not "
                    "have. Set it to the key alone."
                )
        self._prefix = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        self._bucket = bucket
        try:
            check_bucket_name(bucket, strict=True)
        except ValueError as exc:
            raise UsageError(
                f"MINIO_BUCKET is not the name of a bucket ({exc}). Correct it."
            ) from exc
        self._connection = S3Connection(
            endpoint,
            access_key,
            secret_key,
            secure=secure,
            region=region,
            ca_file=ca_file,
            timeout_s=timeout_s,
        )
        self._client, self._endpoint = self._connection.client, self._connection.url
        try:
            self._open_bucket(create=create)
            self._versioned = self._keeps_versions()
        except BaseException:
            self.close()
            raise

    def describe(self) -> str:
        """Bucket, prefix and server."""
        return (
            f"bucket {self._bucket}{'/' if self._prefix else ''}{self._prefix} at {self._endpoint}"
        )

    def put(self, key: str, data: bytes) -> None:
        """Send the object in one request."""
        name = self._name(key)
        with self._errors(key):
            self._client.put_object(
                self._bucket,
                name,
                io.BytesIO(data),
                len(data),
                metadata={_DIGEST: hashlib.sha256(data).hexdigest()},
                part_size=max(_MIN_PART, len(data)),
            )

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """Write in several threads."""
        put_at_once(self.put, objects)

    def get(self, key: str) -> bytes:
        """Fetch the object and check it."""
        name = self._name(key)
        with self._errors(key):
            try:
                return self._fetch(key, name)
            except (ProtocolError, ReadTimeoutError):
                # The connection broke within the object; the pool does not retry that.
                return self._fetch(key, name)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Fetch the object with its ETag."""
        name = self._name(key)
        with self._errors(key):
            response = self._client.get_object(self._bucket, name)
            try:
                return response.read(), response.headers.get("etag", "")
            finally:
                response.close()
                response.release_conn()

    def put_if(self, key: str, data: bytes, expected: str | None) -> str | None:
        """Send the object with `If-Match` or `If-None-Match`, which the client does not support."""
        name = self._name(key)
        condition = {"If-None-Match": "*"} if expected is None else {"If-Match": expected}
        with self._errors(key):
            url = self._client.get_presigned_url("PUT", self._bucket, name, expires=_PRESIGNED)
            answer = self._connection.pool.urlopen("PUT", url, body=data, headers=condition)
            if answer.status in _UNMET:
                return None
            if answer.status != _OK:
                raise ServerError(f"{answer.status} {answer.reason}", answer.status)
            return answer.headers.get("etag", "")

    def exists(self, key: str) -> bool:
        """Request the object's metadata."""
        name = self._name(key)
        try:
            with self._errors(key):
                self._client.stat_object(self._bucket, name)
        except ObjectMissing:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Request page by page, of 1,000 keys each."""
        if starts_keys(prefix):
            with self._errors():
                yield from in_key_order(self._listed(prefix), prefix.rfind("/") + 1)

    def delete(self, key: str) -> None:
        """Remove the object; in a bucket that keeps versions, all of them, one by one."""
        name = self._name(key)
        with contextlib.suppress(ObjectMissing), self._errors(key):
            if not self._versioned:
                self._client.remove_object(self._bucket, name)
                return
            versions = self._client.list_objects(
                self._bucket, prefix=name, recursive=True, include_version=True
            )
            for version in [item.version_id for item in versions if item.object_name == name]:
                self._client.remove_object(self._bucket, name, version)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _name(self, key: str) -> str:
        return f"{self._prefix}{check_key(key)}"

    def _open_bucket(self, *, create: bool) -> None:
        with self._errors():
            try:
                if self._client.bucket_exists(self._bucket):
                    return
                if create:
                    self._client.make_bucket(self._bucket)
                    return
            except S3Error as exc:
                if exc.code != _CREATED_MEANWHILE:
                    raise
                return
        raise StoreError(
            f"There is no bucket {self._bucket} at {self._endpoint}. "
            "Create it, or correct MINIO_BUCKET."
        )

    def _keeps_versions(self) -> bool:
        try:
            with self._errors():
                try:
                    # A bucket that kept versions earlier ("Suspended") still has them.
                    return self._client.get_bucket_versioning(self._bucket).status is not None
                except S3Error as exc:
                    if exc.code in _NO_VERSIONING:
                        return False
                    raise
        except StoreDenied as exc:
            raise StoreDenied(
                f"{exc} Allow s3:GetBucketVersioning too: without it, nothing can be erased for "
                "certain."
            ) from exc

    def _fetch(self, key: str, name: str) -> bytes:
        response = self._client.get_object(self._bucket, name)
        try:
            data = response.read()
            digest = response.headers.get(f"x-amz-meta-{_DIGEST}")
        finally:
            response.close()
            response.release_conn()
        if digest is not None and digest != hashlib.sha256(data).hexdigest():
            raise StoreCorrupt(
                f"Object {key} in {self.describe()} has changed since it was written (its SHA-256 "
                "differs). Restore it from a backup."
            )
        return data

    def _listed(self, prefix: str) -> Iterator[BlobInfo]:
        for item in self._client.list_objects(
            self._bucket, prefix=f"{self._prefix}{prefix}", recursive=True
        ):
            key = (item.object_name or "").removeprefix(self._prefix)
            if is_key(key):
                yield BlobInfo(key, item.size or 0, item.etag or "")

    @contextlib.contextmanager
    def _errors(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except CLIENT_ERRORS as exc:
            what = f"object {key} in bucket {self._bucket}" if key else f"bucket {self._bucket}"
            raise RequestContext(self._endpoint, self._bucket, what).error(exc) from exc


def in_key_order(listing: Iterable[BlobInfo], base: int) -> Iterator[BlobInfo]:
    """A server's listing in order of key, with as few keys held back as possible.

    S3 and MinIO list in this order. Servers that keep a tree of files (SeaweedFS 4.48) list folder
    by folder, so that `a/x` comes before `a-b` and `a.b`, though `-` and `.` sort before `/`. So
    the keys of a folder, whose name starts at index `base` of each, are held back until no such
    neighbour can follow: one folder's keys at a time, and none if all keys are in one folder.
    """
    held: list[BlobInfo] = []
    stem = ""
    for blob in listing:
        name, slash, _ = blob.key[base:].partition("/")
        if held and name != stem and not name.startswith((f"{stem}-", f"{stem}.")):
            yield from sorted(held, key=lambda blob: blob.key)
            held.clear()
        if held:
            held.append(blob)
        elif slash:
            stem = name
            held.append(blob)
        else:
            yield blob
    yield from sorted(held, key=lambda blob: blob.key)
