"""docker-compose.yml, as far as it can be judged without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import registry
from registry.demo.server import serve_folder
from registry.settings import Settings
from tests.support.processes import is_root

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("qdrant", "minio", "seaweedfs")
EXAMPLE = (ROOT / ".env.example").read_text()
SECRET = re.compile(r"KEY|PASSWORD|ROOT_USER|SECRET")
DEMANDED = re.compile(r"\$\{\w+:\?[^}]+\}")

services = pytest.mark.parametrize("name", sorted(SERVICES))
servers = pytest.mark.parametrize("name", SERVERS)


def _health_command(name: str) -> list[str]:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"
    return [str(word).replace("$$", "$") for word in command]  # as compose reads it


def test_the_file_is_what_compose_reads() -> None:
    reason = "check-jsonschema, which carries compose's own schema, is not installed"
    pytest.importorskip("check_jsonschema", reason=reason)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@services
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []
    assert bool(ports) == (name in SERVERS)


@services
def test_secrets_have_no_default(name: str) -> None:
    environment = SERVICES[name]["environment"]
    secrets = {key: value for key, value in environment.items() if SECRET.search(key)}
    assert secrets
    assert [key for key, value in secrets.items() if not DEMANDED.fullmatch(value)] == []


def test_the_example_names_every_variable_and_no_secret() -> None:
    variables = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert variables <= set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.M))
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.M))
    assert {key: value for key, value in given.items() if SECRET.search(key) and value} == {}
    assert given["COMPOSE_PROFILES"] in {"minio", "seaweedfs"}


@services
def test_images_are_pinned(name: str) -> None:
    image = re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", SERVICES[name]["image"])
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), image
    if "build" in SERVICES[name]:
        assert tag == registry.__version__


@servers
def test_servers_have_a_health_check_a_volume_and_limits(name: str) -> None:
    service = SERVICES[name]
    assert _health_command(name)
    assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert service["volumes"]
    for volume in service["volumes"]:
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    assert service["restart"] == "unless-stopped"


@services
def test_every_container_is_limited(name: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_one_object_store_answers_at_the_address_that_clients_are_given() -> None:
    host, port = SERVICES["registry"]["environment"]["MINIO_ENDPOINT"].split(":")
    for name in ("minio", "seaweedfs"):
        assert SERVICES[name]["profiles"] == [name]
        assert SERVICES[name]["networks"]["default"]["aliases"] == [host]
        assert f"127.0.0.1:{port}:{port}" in SERVICES[name]["ports"]
    waits = SERVICES["bucket"]["depends_on"]
    assert {name: rule["required"] for name, rule in waits.items()} == {
        "minio": False,
        "seaweedfs": False,
    }


def test_clients_are_given_settings_that_exist() -> None:
    aliases = {
        str(choice)
        for field in Settings.model_fields.values()
        for choice in getattr(field.validation_alias, "choices", [])
    }
    for name in ("registry", "bucket"):
        assert set(SERVICES[name]["environment"]) <= aliases


def test_the_bucket_script_is_python_that_imports_what_exists() -> None:
    (script,) = SERVICES["bucket"]["command"]
    only_imports = "\n".join(line for line in script.splitlines() if "import" in line)
    subprocess.run([sys.executable, "-c", f"{only_imports}\nMinioStore"], cwd=ROOT, check=True)
    compile(script, "bucket", "exec")


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1)])
def test_the_health_check_of_qdrant_reads_the_answer(
    ready: bool, code: int, tmp_path: Path
) -> None:
    if ready:
        (tmp_path / "readyz").write_text("all shards are ready")
    with serve_folder(tmp_path) as url:
        port = url.rsplit(":", 1)[-1]
        command = [word.replace("6333", port) for word in _health_command("qdrant")]
        command[0] = str(shutil.which(command[0]))
        answer = subprocess.run(
            command, timeout=10, capture_output=True, check=False, env={"PATH": ""}
        )
    assert answer.returncode == code


@pytest.mark.skipif(not is_root(), reason="only root can become the image's user")
@pytest.mark.parametrize("user", [10001, 1000])
def test_the_user_of_the_image_can_make_a_home_in_its_volume(user: int) -> None:
    text = (ROOT / "Dockerfile").read_text()
    mode, volume = re.findall(r"install -d -m (\d+) (\S+)", text)[0]
    home = dict(re.findall(r"^ENV (FACE_REGISTRY_HOME)=(\S+)", text, re.M))["FACE_REGISTRY_HOME"]
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        place.chmod(int(mode, 8))
        code = (
            "import os, sys; from pathlib import Path\n"
            "from registry.core.home import prepare_home\n"
            f"os.setgid({user}); os.setuid({user}); prepare_home(Path(sys.argv[1]))"
        )
        inside = place / Path(home).relative_to(volume)
        subprocess.run([sys.executable, "-c", code, str(inside)], cwd=ROOT, check=True)
        assert inside.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(place)


def test_the_image_runs_as_nobody_special_from_the_lock_file() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] not in {"root", "0"}
    assert [line for line in lines if re.search(r"apt-get|build-essential|libgl", line)] == []
    assert any("--require-hashes -r requirements/cpu.txt" in line for line in lines)
    copied = {line.split()[1].split("/")[0] for line in lines if line.startswith("COPY ")}
    allowed = (ROOT / ".dockerignore").read_text()
    assert [name for name in copied if f"!{name}" not in allowed] == []
