# face-registry for the CPU. Not run here: written without a Docker engine at hand; the install
# itself is what `make install` does, and that is tested.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Wheels only: no compiler, and no libGL, which only opencv-python (without -headless) asks for.
WORKDIR /src
COPY requirements/cpu.txt requirements/
RUN pip install --no-deps --only-binary :all: --require-hashes -r requirements/cpu.txt

COPY pyproject.toml README.md LICENSE ./
COPY face_registry face_registry
COPY registry registry
COPY ingest ingest
COPY queries queries
RUN pip install --no-deps .

# Whoever runs it makes a home of their own in here: it is open to its owner alone, and a folder of
# another's cannot be made so. So `docker compose run --user` works too.
RUN useradd --system --uid 10001 --no-create-home registry \
    && install -d -m 1777 /var/lib/face-registry
ENV FACE_REGISTRY_HOME=/var/lib/face-registry/home
VOLUME /var/lib/face-registry
USER 10001
WORKDIR /files

ENTRYPOINT ["face-registry"]
CMD ["--help"]
