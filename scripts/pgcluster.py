"""Private PostgreSQL clusters for the demo, the tests and the benchmark.

    with Cluster("demo", pgtree.prepare()) as cluster:
        with cluster.connect() as connection: ...

A cluster listens on a unix socket in a directory of its own that only the server's user (and root) can
enter; TCP only on request, with a password. The server is a child of this process and gets SIGINT from the
kernel when this process dies in whatever way, so nothing is left running. For that, start clusters from
the main thread: the kernel looks at the thread that started the child.

    python3 scripts/pgcluster.py run NAME [-- COMMAND ...]

starts a cluster, runs the command (psql if none) with PGHOST, PGPORT and PGUSER set, and stops it again;
it stays on disk until `python3 scripts/pgcluster.py remove NAME`.
"""

import argparse
import atexit
import contextlib
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pgtree
import serveruser
from pgtree import Tree

SUPERUSER = "postgres"
START_TIMEOUT = 120.0
STOP_TIMEOUT = 120.0
# Only a part of the socket's name: every cluster has a socket directory of its own.
SOCKET_PORT = 5432


class Cluster:
    """One cluster: made on the first start, kept on disk from start to start, removed by destroy()."""

    def __init__(
        self,
        name: str,
        tree: Tree,
        *,
        settings: dict[str, str] | None = None,
        tcp: bool = False,
        log_dir: Path | None = None,
    ):
        self.name = name
        self.tree = tree
        self.settings = dict(settings or {})
        self.home = tree.home / "clusters" / name
        self.data = self.home / "data"
        self.log = (log_dir or tree.home / "logs") / f"{name}.log"
        self.port = _free_port() if tcp else SOCKET_PORT
        self.tcp = tcp
        # A command that runs the server, as `nice` would.
        self.launcher: list[str] = []
        self._socket_dir: Path | None = None
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    # Making and removing -------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def initialise(self) -> None:
        """initdb: trust on the private socket, a password for TCP, UTF-8, C collation."""
        self._make_home()
        serveruser.write_file(self._password_file, secrets.token_hex(16))
        serveruser.run(
            [self.tree.program("initdb"), "-D", self.data, "-U", SUPERUSER, "-E", "UTF8"]
            + ["--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
            # Since version 18 they are the default. Tests damage pages to see what our own checks find.
            + (["--no-data-checksums"] if self.tree.major >= 18 else [])
            + [f"--pwfile={self._password_file}"]
        )
        with open(self.data / "postgresql.conf", "a") as configuration:
            configuration.write("include 'kdvector.conf'\n")

    def in_use(self) -> bool:
        """Whether a server, be it of another process, runs on the cluster.

        A pid file left by a crash may name another process by now; a server's working directory is its data.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            return self.data.samefile(f"/proc/{pid}/cwd")
        except (OSError, ValueError):
            return False

    @property
    def _password_file(self) -> Path:
        return self.home / "password"

    def remove(self) -> None:
        """Like destroy(), for a cluster that another process may be using: then it is left alone."""
        if self.in_use():
            raise RuntimeError(f"a server is running in {self.data}; end the program that started it first")
        self.destroy()

    def destroy(self) -> None:
        """Stops the server and removes the cluster; its log is kept."""
        self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)

    def _make_home(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        serveruser.make_public_directory(self.home.parent)
        serveruser.make_directory(self.home)

    # Starting and stopping -----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Starts the server, making the cluster first if there is none, and waits until it answers."""
        if self.running:
            return
        if not self.exists:
            self.initialise()
        if self._socket_dir is None:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="kdv-", dir="/tmp"))
            if os.geteuid() == 0:
                os.chown(self._socket_dir, serveruser.owner().pw_uid, serveruser.owner().pw_gid)
            atexit.register(self._at_exit)
        self._write_settings()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self._server = subprocess.Popen(
                self.launcher
                + serveruser.prefix("--pdeathsig=INT")
                + [self.tree.program("postgres"), "-D", str(self.data)],
                env=serveruser.ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: "smart", "fast" or "immediate", as pg_ctl names them."""
        if not self.running:
            return
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        self._server.send_signal(number)
        try:
            self._server.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._kill()
            raise RuntimeError(f"{self.name} did not stop in {STOP_TIMEOUT:.0f} s; it was killed") from None

    def restart(self, mode: str = "fast", **settings: str) -> None:
        """Stops and starts the server, with settings changed if any are given."""
        self.stop(mode)
        self.settings.update(settings)
        self.start()

    def crash(self) -> None:
        """kill -9 of every process of the server at once. start() then goes through crash recovery."""
        if not self.running:
            raise RuntimeError(f"{self.name} is not running")
        self._kill()

    def crash_backend(self, pid: int) -> None:
        """kill -9 of one process of the server, which then ends all others and recovers."""
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + START_TIMEOUT
        # When it has noticed, the server accepts no connection until it has recovered.
        while _stat(pid) is not None or not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not recover from a crash; see {self.log}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _kill(self) -> None:
        pid = self._server.pid
        self._server.send_signal(signal.SIGSTOP)  # so that it starts no further backend meanwhile
        # The server last: a backend that sees it gone would end its transaction before it goes.
        victims = [*_children(pid), pid]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._server.wait()
        # The shared memory is free only when the last of them is gone.
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(_alive(victim) for victim in victims):
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes of {self.name} survive SIGKILL")
            time.sleep(0.01)

    def _at_exit(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.stop()
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def _write_settings(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "port": str(self.port),
            "unix_socket_directories": str(self._socket_dir),
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
            **self.settings,
        }
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        head = "# Written anew at every start; ALTER SYSTEM overrides it.\n"
        serveruser.write_file(self.data / "kdvector.conf", head + "".join(lines))

    def _wait_until_ready(self) -> None:
        """The server says in its pid file when it accepts connections, as pg_ctl reads it there."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._accepts_connections():
            if self._server.poll() is not None:
                raise RuntimeError(f"{self.name} did not start; {self.log} ends with\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop("immediate")
                raise RuntimeError(f"{self.name} is not ready after {START_TIMEOUT:.0f} s; see {self.log}")
            time.sleep(0.02)

    def _accepts_connections(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # A file left by a crash carries another pid.
        return len(lines) > 7 and int(lines[0]) == self._server.pid and lines[7].strip() == "ready"

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # Talking to it -------------------------------------------------------------------------------------

    def environment(self, dbname: str = "postgres") -> dict[str, str]:
        """What psql, pg_regress, pgbench and other clients need in their environment."""
        return {
            "PGHOST": str(self._socket_dir),
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGDATABASE": dbname,
        }

    def conninfo(self, dbname: str = "postgres", *, tcp: bool = False) -> str:
        """A libpq connection string; `tcp=True` for clients that know no unix sockets."""
        if not tcp:
            return f"host={self._socket_dir} port={self.port} user={SUPERUSER} dbname={dbname}"
        if not self.tcp:
            raise RuntimeError(f"{self.name} was not made with tcp=True")
        password = self.password()
        return f"host=127.0.0.1 port={self.port} user={SUPERUSER} password={password} dbname={dbname}"

    def password(self) -> str:
        """What the superuser's clients say that come by TCP."""
        return self._password_file.read_text()

    def connect(self, dbname: str = "postgres", *, autocommit: bool = True, **kwargs):
        """A psycopg connection, in autocommit mode unless said otherwise."""
        import psycopg

        return psycopg.connect(self.conninfo(dbname), autocommit=autocommit, **kwargs)

    def create_database(self, dbname: str) -> None:
        """Makes a database anew, dropping one of that name."""
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{dbname}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{dbname}"')

    # Replication ---------------------------------------------------------------------------------------

    def standby(self, name: str, **kwargs) -> "Cluster":
        """A streaming standby of this running cluster, not started yet. Its name begins with ours."""
        return self.backup(name, "--write-recovery-conf", **kwargs)

    def backup(self, name: str, *options: str, **kwargs) -> "Cluster":
        """A cluster made of a base backup of this running one, not started yet. Its name begins with ours.

        `options` are those of pg_basebackup.
        """
        full_name = f"{self.name}-{name}"
        other = type(self)(full_name, self.tree, settings=self.settings, log_dir=self.log.parent, **kwargs)
        other._make_home()
        serveruser.write_file(other._password_file, self._password_file.read_text())
        serveruser.run(
            [self.tree.program("pg_basebackup"), "--pgdata", other.data, "--checkpoint=fast", *options]
            + ["--dbname", self.conninfo()]
        )
        return other

    def copy(self, name: str, **settings: str) -> "Cluster":
        """A cluster with a copy of this one's data, not started yet; this one does not run meanwhile.

        Its name begins with ours, its settings are ours and those given.
        """
        if self.running:
            raise RuntimeError(f"{self.name} is running; its files would not fit together")
        full_name = f"{self.name}-{name}"
        other = type(self)(
            full_name, self.tree, settings={**self.settings, **settings}, log_dir=self.log.parent
        )
        other._make_home()
        subprocess.run(["cp", "--archive", self.data, self._password_file, other.home], check=True)
        return other

    def recover(self, name: str, wal: Path, **target: str) -> "Cluster":
        """A copy of this stopped cluster that, when started, replays WAL from a directory.

        `target` are settings, such as recovery_target_lsn, that say where it ends.
        """
        other = self.copy(name, restore_command=f'cp "{wal}/%f" "%p"', **target)
        serveruser.write_file(other.data / "recovery.signal", "")
        return other

    def promote(self) -> None:
        """Makes a standby a primary and waits until it is one."""
        with self.connect() as connection:
            (promoted,) = connection.execute("SELECT pg_promote(wait => true)").fetchone()
        if not promoted:
            raise RuntimeError(f"{self.name} was not promoted; see {self.log}")

    def wait_for_replay(self, standby: "Cluster", timeout: float = 60.0) -> None:
        """Waits until the standby has replayed all that was written here so far."""
        with self.connect() as connection:
            (target,) = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        deadline = time.monotonic() + timeout
        with standby.connect() as connection:
            while True:
                behind, at = connection.execute(
                    "SELECT pg_last_wal_replay_lsn() < %s::pg_lsn, pg_last_wal_replay_lsn()", (target,)
                ).fetchone()
                if not behind:
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{standby.name} is at {at}, not yet at {target}")
                time.sleep(0.02)


def _quoted(value: str) -> str:
    return str(value).replace("'", "''")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _stat(pid: int) -> list[str] | None:
    """State, parent and so on of a process: the fields of /proc/PID/stat after the command's name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _children(parent: int) -> list[int]:
    processes = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in processes if (fields := _stat(pid)) and int(fields[1]) == parent]


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] not in "ZX"


# Command line ------------------------------------------------------------------------------------------


def run_client(cluster: Cluster, command: list[str], dbname: str) -> int:
    """Starts the cluster, runs a client in the foreground (psql if none), and stops the cluster again."""
    command = command or [cluster.tree.program("psql")]
    with cluster:
        # Ctrl-C is for the client (it cancels a query in psql); we go on waiting for it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return subprocess.run(
                command,
                env={**os.environ, **cluster.environment(dbname)},
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            ).returncode
        finally:
            signal.signal(signal.SIGINT, before)


def _run(arguments: argparse.Namespace, command: list[str]) -> int:
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    cluster = Cluster(arguments.name, pgtree.prepare(arguments.pg_config), settings=settings)
    try:
        return run_client(cluster, command, arguments.dbname)
    finally:
        if arguments.temporary:
            cluster.destroy()


def _prepare(arguments: argparse.Namespace, _: list[str]) -> None:
    print(pgtree.prepare(arguments.pg_config).pg_config)


def _remove(arguments: argparse.Namespace, _: list[str]) -> None:
    Cluster(arguments.name, pgtree.prepare(arguments.pg_config, install=False)).remove()


def main() -> int:
    parser = argparse.ArgumentParser(description="private PostgreSQL clusters with kdvector installed")
    parser.add_argument("--pg-config", help="the installation to copy (default: as make finds it)")
    commands = parser.add_subparsers(required=True)

    prepare = commands.add_parser("prepare", help="make the private tree, print its pg_config")
    prepare.set_defaults(do=_prepare)

    run = commands.add_parser(
        "run",
        help="start a cluster, run a command (psql if none), stop it",
        usage="%(prog)s [options] NAME [-- COMMAND ...]",
    )
    run.add_argument("name")
    run.add_argument("--dbname", default="postgres")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a server setting")
    run.add_argument("--temporary", action="store_true", help="remove the cluster afterwards")
    run.set_defaults(do=_run)

    remove = commands.add_parser("remove", help="remove a cluster and its data")
    remove.add_argument("name")
    remove.set_defaults(do=_remove)

    own = list(itertools.takewhile(lambda word: word != "--", sys.argv[1:]))
    arguments = parser.parse_args(own)
    try:
        return arguments.do(arguments, sys.argv[2 + len(own) :]) or 0
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
