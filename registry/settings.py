"""Settings: where a registry is, which servers it uses, and how events are logged.

No other module reads environment variables.
"""

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
"""Cosine from which a face joins its nearest neighbour, as in the notebook that preceded this."""
DEFAULT_EVERY = 10
"""Every tenth frame is sampled, as in the notebook."""
MOST_WORKERS = 256
"""Processes. More than a machine has cores take memory and gain nothing."""
LARGEST_EVERY = 1_000_000
"""Nine hours at 30 frames per second."""
DEFAULT_MAX_GAP_S = 1.0
"""A new registry looks at each person who is on screen for a second, whatever the frame rate."""
DEFAULT_METRIC = "Performance"
DEFAULT_URL_COLUMN = "Video URL"

Device = Literal["auto", "cpu", "cuda", "coreml"]
Accuracy = Literal["exact", "fast"]
"""How faces are extracted; `fast` takes less time and answers slightly differently."""
S = TypeVar("S", bound=BaseSettings)


def _env(name: str) -> AliasChoices:
    return AliasChoices(name)


class LogSettings(BaseSettings):
    """How events are logged. A class of its own, because logging starts before all else is read."""

    # Not by field name as well: variables such as HOME and LOG_LEVEL belong to other programs.
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    log_format: Format | None = Field(
        default=None, validation_alias=_env("FACE_REGISTRY_LOG_FORMAT")
    )
    log_level: Level | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_LOG_LEVEL"))


class Settings(LogSettings):
    """Settings from arguments, then from the environment. By default everything is embedded."""

    home: Path = Field(
        default_factory=lambda: user_data_path("face-registry", appauthor=False),
        validation_alias=_env("FACE_REGISTRY_HOME"),
    )
    """Folder of all embedded parts and of temporary files."""
    model: str | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_MODEL"))
    """Model of new registries: a name of the catalogue or a folder; None: sface. See
    `registry.core.contract.choose_model`."""
    purpose: str | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_PURPOSE"))
    """Why faces are processed; recorded with each run."""
    password_file: Path | None = Field(
        default=None, validation_alias=_env("FACE_REGISTRY_PASSWORD_FILE")
    )
    """File with the password of `serve`."""
    proxy: SecretStr | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_PROXY"))
    """URL of the proxy for what a table names, `env` or `none`. See `ingest.fetch.network`."""
    no_proxy: str | None = Field(default=None, validation_alias=_env("FACE_REGISTRY_NO_PROXY"))
    """Hosts that are reached without it."""
    device: Device = Field(default="auto", validation_alias=_env("FACE_REGISTRY_DEVICE"))
    accuracy: Accuracy = Field(default="exact", validation_alias=_env("FACE_REGISTRY_ACCURACY"))
    """Of ingests and retries. Lookups and changes of the model are always exact."""

    qdrant_url: str | None = Field(default=None, validation_alias=_env("QDRANT_URL"))
    """None: Qdrant Edge in this process."""
    qdrant_api_key: SecretStr | None = Field(default=None, validation_alias=_env("QDRANT_API_KEY"))
    qdrant_ca_file: Path | None = Field(default=None, validation_alias=_env("QDRANT_CA_FILE"))
    """PEM file of the certificate authorities to trust instead of the usual ones."""
    qdrant_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]*$", validation_alias=_env("QDRANT_PREFIX")
    )
    """Prefix of the collections' names, so that several registries can share a server."""
    qdrant_shards: int | None = Field(default=None, ge=1, validation_alias=_env("QDRANT_SHARDS"))
    qdrant_replicas: int | None = Field(
        default=None, ge=1, validation_alias=_env("QDRANT_REPLICAS")
    )
    qdrant_on_disk: bool = Field(default=False, validation_alias=_env("QDRANT_ON_DISK"))
    qdrant_quantization: Literal["none", "scalar"] = Field(
        default="none", validation_alias=_env("QDRANT_QUANTIZATION")
    )

    minio_endpoint: str | None = Field(default=None, validation_alias=_env("MINIO_ENDPOINT"))
    """host:port of an S3 server; None: objects are kept in a folder."""
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
    """PEM file of the certificate authorities to trust instead of the usual ones."""
    timeout_s: float = Field(
        default=30.0, gt=0, le=3600, validation_alias=_env("FACE_REGISTRY_TIMEOUT")
    )
    """Seconds to wait for a server's answer to a request."""

    @model_validator(mode="after")
    def _keys_with_endpoint(self) -> Self:
        if self.minio_endpoint and not (self.minio_access_key and self.minio_secret_key):
            raise ValueError(
                "MINIO_ENDPOINT is set, but MINIO_ACCESS_KEY or MINIO_SECRET_KEY is not. "
                "Set all three."
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether objects or index are in the home folder, which one process at a time may use."""
        return self.qdrant_url is None or self.minio_endpoint is None

    @property
    def model_cache(self) -> Path:
        """Folder of downloaded models."""
        return self.home / "models"

    @property
    def downloads(self) -> Path:
        """Folder of videos while they are read."""
        return self.home / "tmp"


def load_settings(**given: Any) -> Settings:
    """Load settings from `given` (None counts as not given), then from the environment.

    Raises `UsageError` with a sentence for each setting that is not valid.
    """
    settings = _load(Settings, given)
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def load_log_settings(**given: Any) -> LogSettings:
    """Load how events are logged. Raises `UsageError` as `load_settings` does."""
    return _load(LogSettings, given)


def proxy_variables() -> dict[str, str]:
    """The proxies of the environment by scheme (`http`, `https`, `all`), and exceptions (`no`).

    HTTP_PROXY and others, in lower case too, which goes before; as Python's urllib has it.
    """
    from urllib.request import getproxies_environment  # its HTTP client is used for downloads only

    return getproxies_environment()


def proxy_variable_name(scheme: str) -> str:
    """The variable that names a proxy for URLs of a scheme, as it is spelled; "" if none does."""
    wanted = [f"{scheme}_proxy", "all_proxy"]
    names = [name for name, value in os.environ.items() if value and name.lower() in wanted]
    return min(names, key=lambda name: wanted.index(name.lower()), default="")


def certificate_variables() -> dict[str, str]:
    """Those of OpenSSL's variables that are set and say which authorities to trust."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _load(settings: type[S], given: Mapping[str, Any]) -> S:
    try:
        return settings(**_by_variable(settings, given))
    except ValidationError as exc:
        raise UsageError(" ".join(_sentence(error) for error in exc.errors())) from exc


def _by_variable(settings: type[BaseSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the field names in `given` by names of variables; drop what is None."""
    named: dict[str, Any] = {}
    for name, field in settings.model_fields.items():
        if given.get(name) is not None and isinstance(field.validation_alias, AliasChoices):
            named[str(field.validation_alias.choices[0])] = given[name]
    return named


def _sentence(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    # An error without a name concerns several settings: its input is all of them, with secrets.
    return f"{name} is {str(error['input'])!r}: {message}." if name else f"{message}."


class _Target(Settings):
    """Settings of a migration's target: arguments alone, not the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ignore the environment, which describes the source."""
        return (init_settings,)


def load_target(
    source: Settings, *, home: Path | None, qdrant: str | None, minio: str | None
) -> Settings:
    """Load the settings of the place to which a registry is migrated.

    Args:
        source: the settings of the registry; they apply to what is not migrated.
        home: a home folder for objects and index, unless `qdrant` or `minio` names a server for one
            of them.
        qdrant: URL of a server for the index; by default TARGET_QDRANT_URL. Its other settings are
            TARGET_QDRANT_API_KEY, _CA_FILE, _PREFIX, _SHARDS, _REPLICAS, _ON_DISK and
            _QUANTIZATION.
        minio: endpoint of an S3 server for the objects; by default TARGET_MINIO_ENDPOINT. Its other
            settings are TARGET_MINIO_ACCESS_KEY, _SECRET_KEY, _BUCKET, _SECURE, _REGION and
            _CA_FILE.

    Raises `UsageError` if no other place is given or a setting is not valid.
    """
    values = dict(source)
    given = {"qdrant_url": qdrant, "minio_endpoint": minio}
    for group, main in (("qdrant_", "qdrant_url"), ("minio_", "minio_endpoint")):
        target = _from_environment(group)
        server = given[main] or target.get(main)
        if server or home is not None:
            values = {name: v for name, v in values.items() if not name.startswith(group)}
        if server:
            values |= {**target, main: server}
    if home is not None:
        values["home"] = home.expanduser().absolute()
    if not any(values.get(n) != getattr(source, n) for n in ("home", *given)):
        raise UsageError(
            "No other place is given. Use --to-home DIR, --to-qdrant URL or --to-minio HOST:PORT."
        )
    try:
        return _load(_Target, values)
    except UsageError as exc:
        raise UsageError(f"The settings of the target are not valid. {exc}") from exc


def _from_environment(group: str) -> dict[str, str]:
    """The TARGET_* variables of one group of settings that are set, by field name."""
    names = [name for name in Settings.model_fields if name.startswith(group)]
    values = {name: os.environ.get(f"TARGET_{name.upper()}", "") for name in names}
    return {name: value for name, value in values.items() if value}
