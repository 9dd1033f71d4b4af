"""The one reader of the environment: where a registry lives and what it is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from registry.errors import UsageError
from registry.events import Format, Level

DEFAULT_MODEL = "sface"
DEFAULT_THRESHOLD = 0.85
"""Cosine of the assignment rule, as the notebook that the registry replaces had it."""
DEFAULT_EVERY = 10
"""One frame in ten is looked at, as in the notebook."""
DEFAULT_METRIC = "Performance"
DEFAULT_URL_COLUMN = "Video URL"

Device = Literal["auto", "cpu", "cuda", "coreml"]
S = TypeVar("S", bound=BaseSettings)


def _env(name: str) -> AliasChoices:
    return AliasChoices(name)


class LogSettings(BaseSettings):
    """How events are logged; apart, because that is known before anything else is read."""

    # Not by field name as well: variables such as HOME and LOG_LEVEL are other programs'.
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    log_format: Format | None = Field(
        default=None, validation_alias=_env("FACE_REGISTRY_LOG_FORMAT")
    )
    log_level: Level | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_LOG_LEVEL"))


class Settings(LogSettings):
    """Settings from arguments, then the environment. With none set, everything is embedded."""

    home: Path = Field(
        default_factory=lambda: user_data_path("face-registry", appauthor=False),
        validation_alias=_env("FACE_REGISTRY_HOME"),
    )
    """Folder of everything that is embedded, and of temporary files."""
    model: str | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_MODEL"))
    """Model of a new registry: a catalogue name or a folder; None: the registry's own, or sface."""
    purpose: str | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_PURPOSE"))
    """Why people's faces are processed; kept with each ingest."""
    device: Device = Field(default="auto", validation_alias=_env("FACE_REGISTRY_DEVICE"))

    qdrant_url: str | None = Field(default=None, validation_alias=_env("QDRANT_URL"))
    """None: Qdrant Edge, in the process."""
    qdrant_api_key: SecretStr | None = Field(default=None, validation_alias=_env("QDRANT_API_KEY"))
    qdrant_ca_file: Path | None = Field(default=None, validation_alias=_env("QDRANT_CA_FILE"))
    """Certificates (PEM) of the authorities to trust instead of the usual ones."""
    qdrant_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]*$", validation_alias=_env("QDRANT_PREFIX")
    )
    """Put before the collections' names, so that several registries can share a server."""
    qdrant_shards: int | None = Field(default=None, ge=1, validation_alias=_env("QDRANT_SHARDS"))
    qdrant_replicas: int | None = Field(
        default=None, ge=1, validation_alias=_env("QDRANT_REPLICAS")
    )
    qdrant_on_disk: bool = Field(default=False, validation_alias=_env("QDRANT_ON_DISK"))
    qdrant_quantization: Literal["none", "scalar"] = Field(
        default="none", validation_alias=_env("QDRANT_QUANTIZATION")
    )

    minio_endpoint: str | None = Field(default=None, validation_alias=_env("MINIO_ENDPOINT"))
    """host:port of an S3 server; None: a folder."""
    minio_access_key: SecretStr | None = Field(
        default=None, validation_alias=_env("MINIO_ACCESS_KEY")
    )
    minio_secret_key: SecretStr | None = Field(
        default=None, validation_alias=_env("MINIO_SECRET_KEY")
    )
    minio_bucket: str = Field(default="face-registry", validation_alias=_env("MINIO_BUCKET"))
    minio_secure: bool = Field(default=True, validation_alias=_env("MINIO_SECURE"))
    minio_region: str | None = Field(default=None, validation_alias=_env("MINIO_REGION"))
    minio_ca_file: Path | None = Field(default=None, validation_alias=_env("MINIO_CA_FILE"))
    """Certificates (PEM) of the authorities to trust instead of the usual ones."""
    timeout_s: float = Field(
        default=30.0, gt=0, le=3600, validation_alias=_env("FACE_REGISTRY_TIMEOUT")
    )
    """Seconds that a server may take to answer a request."""

    @model_validator(mode="after")
    def _keys_with_endpoint(self) -> Self:
        if self.minio_endpoint and not (self.minio_access_key and self.minio_secret_key):
            raise ValueError(
                "MINIO_ENDPOINT is set but MINIO_ACCESS_KEY or MINIO_SECRET_KEY is not: "
                "set all three"
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether any part lives in the home folder, which one process at a time may use."""
        return self.qdrant_url is None or self.minio_endpoint is None

    @property
    def model_cache(self) -> Path:
        """Where model files are kept."""
        return self.home / "models"

    @property
    def downloads(self) -> Path:
        """Where videos lie while they are read."""
        return self.home / "tmp"


def load_settings(**given: Any) -> Settings:
    """Settings from what is given (None counts as not given) and the environment.

    Raises `UsageError` with one line for each setting that does not fit.
    """
    settings = _loaded(Settings, given)
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def load_log_settings(**given: Any) -> LogSettings:
    """How events are logged. Raises `UsageError` as `load_settings` does."""
    return _loaded(LogSettings, given)


def _loaded(kind: type[S], given: dict[str, Any]) -> S:
    try:
        return kind(**_by_variable(kind, given))
    except ValidationError as exc:
        lines = [_complaint(error) for error in exc.errors()]
        raise UsageError("; ".join(lines)) from exc


def _by_variable(kind: type[BaseSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given by field name, without None, under the names that the fields are read by."""
    named: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if given.get(name) is not None and isinstance(field.validation_alias, AliasChoices):
            named[str(field.validation_alias.choices[0])] = given[name]
    return named


def _complaint(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    what = str(error["msg"]).removeprefix("Value error, ")
    # The input of what concerns no single setting holds all of them, secrets included.
    return f"setting {where} is {str(error['input'])!r}: {what}" if where else what


class _Target(Settings):
    """Settings of a target: from what is given alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing from the environment: what stands there describes the source."""
        return (init_settings,)


def load_target(
    source: Settings, *, home: Path | None, qdrant: str | None, minio: str | None
) -> Settings:
    """Settings of the registry that another is moved to.

    Args:
        source: the registry that is moved; what nothing is said of stays where it is.
        home: a folder to be embedded in. Objects and index both go there, unless `qdrant` or
            `minio` sends one of them to a server.
        qdrant: URL of a server for the index; by default TARGET_QDRANT_URL. Its other settings are
            TARGET_QDRANT_API_KEY, _CA_FILE, _PREFIX, _SHARDS, _REPLICAS, _ON_DISK and
            _QUANTIZATION.
        minio: endpoint of an S3 server for the objects; by default TARGET_MINIO_ENDPOINT. Its other
            settings are TARGET_MINIO_ACCESS_KEY, _SECRET_KEY, _BUCKET, _SECURE, _REGION and
            _CA_FILE.

    Raises `UsageError` if nothing is to be moved or a setting does not fit.
    """
    values = dict(source)
    given = {"qdrant_url": qdrant, "minio_endpoint": minio}
    for group, main in (("qdrant_", "qdrant_url"), ("minio_", "minio_endpoint")):
        theirs = _from_environment(group)
        where = given[main] or theirs.get(main)
        if where or home is not None:
            values = {name: v for name, v in values.items() if not name.startswith(group)}
        if where:
            values |= {**theirs, main: where}
    if home is not None:
        values["home"] = home.expanduser().absolute()
    if not any(values.get(n) != getattr(source, n) for n in ("home", *given)):
        raise UsageError("say where to: --to-home DIR, --to-qdrant URL or --to-minio HOST:PORT")
    try:
        return _Target(**_by_variable(_Target, values))
    except ValidationError as exc:
        lines = [_complaint(error) for error in exc.errors()]
        raise UsageError(f"of the target: {'; '.join(lines)}") from exc


def _from_environment(group: str) -> dict[str, str]:
    """What TARGET_* variables say of one group of settings, by field name."""
    names = [name for name in Settings.model_fields if name.startswith(group)]
    found = {name: os.environ.get(f"TARGET_{name.upper()}", "") for name in names}
    return {name: value for name, value in found.items() if value}
