"""The shape of the house: what stands where, and what may not creep in."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from support import STORED, House, load
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.server import RunningService

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    "client",
    "runtime",
    "core_ledger",
    "servicing",
    "risk",
    "origination",
    "collections",
    "gateway",
    "simulators",
    "cli",
]


@pytest.mark.parametrize("folder", SOURCES)
def test_a_source_root_is_no_package_so_that_it_shadows_nothing(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
    packages = [p.name for p in (ROOT / folder).iterdir() if p.is_dir() and p.name != "__pycache__"]
    assert len(packages) == 1
    assert packages[0].startswith("tael_")


def test_collections_is_still_the_standard_librarys() -> None:
    assert importlib.import_module("collections").__file__ != str(ROOT / "collections")
    assert hasattr(importlib.import_module("collections"), "OrderedDict")


def test_the_client_loads_nothing_of_the_services() -> None:
    heavy = "('sqlalchemy', 'alembic', 'psycopg2', 'numpy', 'starlette', 'tael_runtime')"
    code = (
        "import sys, tael_client, tael_client.values;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", STORED)
def test_the_migrations_arrive_where_tables_py_says(name: str, house: House) -> None:
    service = load(name)
    running = RunningService(service, house.settings)
    running.stop(grace=0)
    cluster = EmbeddedPostgres(house.settings.data_dir)
    engine = create_engine(
        cluster.url(house.settings.database_name, "tael"),
        connect_args={"options": f"-c search_path={name}"},
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table_schema": name, "include_object": _declared}
        )
        assert compare_metadata(context, service.metadata) == []
    engine.dispose()


def _declared(
    _object: object, name: str | None, kind: str, reflected: bool, compare_to: object
) -> bool:
    del name
    return not (kind == "table" and reflected and compare_to is None)


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_those_of_the_code() -> None:
    for name, page in _script(ROOT / "docs" / "generate.py").PAGES.items():
        assert (ROOT / "docs" / name).read_text() == page(), f"run make docs for {name}"


def test_no_generated_stub_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "protos"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "_pb2" not in listed.stdout
