"""The pages of a registry on a real server in this process, and clients that are signed in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from registry.core.registry import Registry
from registry.web.access import Hosts
from registry.web.application import application, open_site
from registry.web.passwords import Password
from registry.web.server import PageServer, listen
from registry.web.site import Site


@dataclass(frozen=True)
class Pages:
    """A server that runs."""

    site: Site
    address: str
    """`http://127.0.0.1:PORT`."""

    @contextmanager
    def stranger(self) -> Iterator[httpx.Client]:
        """A client without a session."""
        with httpx.Client(base_url=self.address, follow_redirects=True, timeout=60) as client:
            yield client

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client that is signed in."""
        with self.stranger() as client:
            assert client.get(f"/?token={self.site.sessions.new_token()}").status_code == 200
            yield client


@contextmanager
def serve_pages(
    registry: Registry,
    *,
    reopen: Callable[[], Registry] | None = None,
    password: str = "",
    local_files: bool = True,
    workers: int = 0,
) -> Iterator[Pages]:
    """Serve a registry until the block ends, which closes it."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        secret = Password.of(password) if password else None
        site = open_site(
            registry, f"{address}/", reopen=reopen, password=secret,
            local_files=local_files, workers=workers,
        )  # fmt: skip
        app = application(site, Hosts(["localhost"]), port=port, secure=False)
        started = threading.Event()
        server = PageServer(app, None, started.set, site.closing.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert started.wait(30)
            yield Pages(site, address)
        finally:
            site.closing.set()
            server.should_exit = True
            thread.join()
            site.close()
