"""Benches of the hot paths: `python -m bench.<name>` in the project's folder, each on its own."""

import os

# A bench starts processes while it holds channels; none of them goes on to use gRPC's state.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("TYPER_STANDARD_TRACEBACK", "1")
