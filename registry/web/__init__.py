"""Pages in a browser that show a registry and change it: `face-registry serve`."""
