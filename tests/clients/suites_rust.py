"""The crate pgvector: the tests in its source, for each driver and ORM that it knows.

The tests stand in the modules of the library. They are run as they are, with the versions of the crate's own
Cargo.lock; only for the drivers that read no variables of libpq's, the server's port and password are put in.
The modules whose tests talk to no server are left out.
"""

import functools
import re
import tomllib
from pathlib import Path

import installs
from suite import Counts, Run, Suite, checked, say, substitute

DATABASE = "pgvector_rust_test"  # the tests' own name for it
MANIFEST = installs.HERE / "rust" / "Cargo.toml"
BUILD = installs.DIRECTORY / "crate-target"


def variable(name: str) -> str:
    """Rust for the value of an environment variable."""
    return f'std::env::var("{name}").unwrap()'


def version(lock: Path, package: str) -> str:
    (found,) = (each for each in tomllib.loads(lock.read_text())["package"] if each["name"] == package)
    return found["version"]


@functools.cache
def crate() -> Path:
    """The crate's source as the registry has it, with the addresses of the server replaced."""
    directory = installs.DIRECTORY / "crate"

    def fetch() -> None:
        say("fetching the crate of rust/Cargo.toml")
        options = ("--quiet", "--locked", "--manifest-path", MANIFEST)
        installs.command("cargo", "vendor", *options, directory, cwd=directory.parent)
        source = directory / "pgvector"
        database = f'.dbname("{DATABASE}")'
        port, password = f"{variable('PGPORT')}.parse().unwrap()", variable("PGPASSWORD")
        replacements = {
            database: f"{database}.port({port}).password({password})",
            f'"host=localhost dbname={DATABASE}"': f"&{variable('CONNINFO')}",
        }
        substitute(source / "src" / "postgres_ext", replacements, "*.rs")
        # It lies below our own workspace, which knows nothing of it.
        with open(source / "Cargo.toml", "a") as manifest:
            manifest.write("\n[workspace]\n")

    made_from = MANIFEST.with_name("Cargo.lock").read_bytes() + Path(__file__).read_bytes()
    installs.unless_done(directory, made_from, fetch)
    return directory / "pgvector"


def cargo_test(*arguments: str) -> list[str | Path]:
    manifest = crate() / "Cargo.toml"
    # No debug information: it would be the most of what is built.
    profile = ("--config", "profile.dev.debug=false")
    options = ("--quiet", "--locked", "--all-features", "--manifest-path", manifest, "--target-dir", BUILD)
    return ["cargo", "test", *options, *profile, *arguments]


@functools.cache
def install() -> None:
    crate()
    say("building the tests of the crate pgvector")
    installs.command(*cargo_test("--no-run"))


def run(filters: tuple[str, ...], run: Run) -> Counts:
    # The tests all make the extension where it is not there, at the same time: only one would survive that.
    run.server.create_database(DATABASE, extension=True)
    conninfo = run.server.cluster.conninfo(DATABASE, tcp=True)
    code = run.execute(cargo_test("--", "--format=pretty", *filters), DATABASE, CONNINFO=conninfo)
    results = re.findall(r"^test (\S+) \.\.\. (\w+)", run.log.read_text(), re.M)
    passed = sum(result == "ok" for _, result in results)
    ignored = sum(result == "ignored" for _, result in results)
    failures = [name for name, result in results if result == "FAILED"]
    return checked(Counts(passed, ignored, failures), code)


# Name, module, filters of cargo's.
CLIENTS = (
    ("postgres", "postgres_ext", ("postgres_ext::", "--skip=tokio_works")),
    ("tokio-postgres", "postgres_ext", ("postgres_ext::vector::tests::tokio_works",)),
    ("sqlx", "sqlx_ext", ("sqlx_ext::",)),
    ("diesel", "diesel_ext", ("diesel_ext::",)),
)
CRATE_VERSION = version(MANIFEST.with_name("Cargo.lock"), "pgvector")
SUITES = [
    Suite(
        name=f"rust-{name}",
        title=f"{name} (Rust)",
        source=f"pgvector {CRATE_VERSION} (crates.io), `{module}`",
        install=install,
        run=functools.partial(run, filters),
    )
    for name, module, filters in CLIENTS
]
