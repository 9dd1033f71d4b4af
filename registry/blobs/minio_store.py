"""Objects in a bucket of MinIO or of any other S3 server."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from minio import Minio
from minio.error import S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3.exceptions import LocationParseError, ProtocolError, ReadTimeoutError
from urllib3.util import parse_url

from registry.blobs.base import BlobInfo, check_key, is_key, starts_keys
from registry.blobs.http_pool import Pool
from registry.blobs.key_order import in_key_order
from registry.blobs.minio_errors import FOREIGN, Place
from registry.errors import ObjectMissing, StoreCorrupt, StoreDenied, UsageError

_CREDENTIAL = re.compile(r"[!-~]+")
_DIGEST = "sha256"
"""User metadata (`x-amz-meta-sha256`) with which every object is written and checked."""
_MIN_PART = 5 * 2**20
"""Bytes: the smallest part size that S3 knows; larger objects are one part of their own size."""
_PRESIGNED = timedelta(minutes=5)
"""For how long the address of one conditional write is good."""
_OK = 200
_UNMET = (404, 409, 412)
"""What S3 answers where a condition does not hold: the object is gone, another write is under way,
or the tag differs."""
_CREATED_MEANWHILE = "BucketAlreadyOwnedByYou"
_NO_VERSIONING = ("NotImplemented", "MethodNotAllowed")


class MinioStore:
    """A `BlobStore` in one bucket, below one prefix of it; for many threads at once.

    Objects carry their SHA-256, and one that does not match it when it comes back raises
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
        prefix: str = "",
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Open `bucket` at `endpoint`, created if absent.

        `endpoint` is `host`, `host:port` or either with `http://` or `https://` in front, which
        then overrules `secure`. `prefix` is put before every key, with a `/` between. `ca_file`
        holds the certificates (PEM) of the authorities to trust instead of the usual ones.
        `timeout_s` bounds one attempt, three times as much one request with all that it repeats.
        Whether the bucket keeps versions is asked here, once.

        Raises `UsageError` for arguments that cannot be meant, else `StoreError`.
        """
        secure, host = parsed_endpoint(endpoint, secure=secure)
        for name, value in (("MINIO_ACCESS_KEY", access_key), ("MINIO_SECRET_KEY", secret_key)):
            if not _CREDENTIAL.fullmatch(value):
                raise UsageError(
                    f"{name} is empty or holds a blank or another character that no key has; "
                    "set it to the key alone"
                )
        if ca_file is not None and not secure:
            raise UsageError(f"{ca_file} is for TLS, and {endpoint} is to be reached without")
        self._prefix = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        self._endpoint = f"{'https' if secure else 'http'}://{host}"
        self._bucket = bucket
        self._pool = Pool(timeout_s=timeout_s, tls=secure, ca_file=ca_file)
        try:
            check_bucket_name(bucket, strict=True)
        except ValueError as exc:
            raise UsageError(f"MINIO_BUCKET names no bucket: {exc}") from exc
        try:
            self._client = Minio(
                host, access_key, secret_key, secure=secure, region=region, http_client=self._pool
            )
        except ValueError as exc:
            raise UsageError(f"MINIO_ENDPOINT or MINIO_REGION is none: {exc}") from exc
        try:
            self._open_bucket()
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

    def get(self, key: str) -> bytes:
        """Fetch the object and check it."""
        name = self._name(key)
        with self._errors(key):
            try:
                return self._fetch(key, name)
            except (ProtocolError, ReadTimeoutError):
                # The connection broke within the object, where no request is repeated by itself.
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
        """Send the object with `If-Match` or `If-None-Match`, which the client has no call for."""
        name = self._name(key)
        condition = {"If-None-Match": "*"} if expected is None else {"If-Match": expected}
        with self._errors(key):
            url = self._client.get_presigned_url("PUT", self._bucket, name, expires=_PRESIGNED)
            answer = self._pool.urlopen("PUT", url, body=data, headers=condition)
            if answer.status in _UNMET:
                return None
            if answer.status != _OK:
                raise ServerError(f"{answer.status} {answer.reason}", answer.status)
            return answer.headers.get("etag", "")

    def exists(self, key: str) -> bool:
        """Ask for the object's head."""
        name = self._name(key)
        try:
            with self._errors(key):
                self._client.stat_object(self._bucket, name)
        except ObjectMissing:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Ask for one page of 1,000 keys after the other."""
        if starts_keys(prefix):
            with self._errors():
                yield from in_key_order(self._listed(prefix), prefix.rfind("/") + 1)

    def delete(self, key: str) -> None:
        """Remove the object; in a bucket that keeps versions, one after the other."""
        name = self._name(key)
        with contextlib.suppress(ObjectMissing), self._errors(key):
            if not self._versioned:
                self._client.remove_object(self._bucket, name)
                return
            versions = self._client.list_objects(
                self._bucket, prefix=name, recursive=True, include_version=True
            )
            for version in [found.version_id for found in versions if found.object_name == name]:
                self._client.remove_object(self._bucket, name, version)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _name(self, key: str) -> str:
        return f"{self._prefix}{check_key(key)}"

    def _open_bucket(self) -> None:
        with self._errors():
            try:
                if not self._client.bucket_exists(self._bucket):
                    self._client.make_bucket(self._bucket)
            except S3Error as exc:
                if exc.code != _CREATED_MEANWHILE:
                    raise

    def _keeps_versions(self) -> bool:
        try:
            with self._errors():
                try:
                    # A bucket that once kept versions ("Suspended") still holds them.
                    return self._client.get_bucket_versioning(self._bucket).status is not None
                except S3Error as exc:
                    if exc.code in _NO_VERSIONING:
                        return False
                    raise
        except StoreDenied as exc:
            raise StoreDenied(
                f"{exc}; without s3:GetBucketVersioning nothing can be erased for certain"
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
                f"object {key} in {self.describe()} is not what was written there (its SHA-256 "
                "differs); restore it from a backup"
            )
        return data

    def _listed(self, prefix: str) -> Iterator[BlobInfo]:
        for found in self._client.list_objects(
            self._bucket, prefix=f"{self._prefix}{prefix}", recursive=True
        ):
            key = (found.object_name or "").removeprefix(self._prefix)
            if is_key(key):
                yield BlobInfo(key, found.size or 0)

    @contextlib.contextmanager
    def _errors(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except FOREIGN as exc:
            what = f"object {key} in bucket {self._bucket}" if key else f"bucket {self._bucket}"
            raise Place(self._endpoint, self._bucket, what).error(exc) from exc


def parsed_endpoint(endpoint: str, *, secure: bool) -> tuple[bool, str]:
    """Whether to use TLS, and `host` or `host:port`. Raises `UsageError`."""
    # Not repeated where it is wrong in this way: it may hold a password.
    wrong = "MINIO_ENDPOINT is none; write host:port, or http:// or https:// in front of it"
    try:
        url = parse_url(endpoint)
    except LocationParseError as exc:
        raise UsageError(wrong) from exc
    if url.scheme not in (None, "http", "https") or not url.netloc or "@" in endpoint:
        raise UsageError(wrong)
    if url.path not in (None, "", "/") or url.query or url.fragment:
        raise UsageError(
            f"MINIO_ENDPOINT {endpoint!r} goes on behind the host; write {url.netloc!r} there, "
            "and the bucket in MINIO_BUCKET"
        )
    return (url.scheme == "https" if url.scheme else secure), url.netloc
