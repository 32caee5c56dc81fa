"""Other ticket systems that read mail: how they are installed, set up and run by their own command.

`python -m bench.peers` installs each into an environment of its own below var/bench/peers. They run
as one process on SQLite and send nothing; start-up is measured apart and taken off.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import ClassVar

from bench.mails import Letter, customer, letter
from bench.measure import FOLDER, Sample

ENVIRONMENTS = FOLDER / "peers"
#: Senders that a peer knows before the first mail, where it knows senders at all.
KNOWN = 20

_DJANGO_SETTINGS = """
SECRET_KEY = "of a measurement"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "helpdesk.sqlite"}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.sites", "django.contrib.messages",
    "django.contrib.staticfiles", "django.contrib.humanize",
    "account", "pinax.invitations", "pinax.teams", "reversion", "rest_framework", "helpdesk",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.contrib.auth.context_processors.auth", "django.template.context_processors.request",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "bench_urls"
SITE_ID = 1
USE_TZ = True
STATIC_URL = "/static/"
MEDIA_ROOT = "media"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
"""
_DJANGO_URLS = """
from django.urls import include, path
urlpatterns = [path("helpdesk/", include("helpdesk.urls", namespace="helpdesk"))]
"""
_DJANGO_QUEUE = """
from helpdesk.models import Queue
Queue.objects.create(
    title="Support", slug="sup", email_address="sup@peer.example", allow_email_submission=True,
    email_box_type="local", email_box_local_dir="mails/", email_box_interval=0,
)
"""


class Peer(ABC):
    """A program that turns mails into tickets, with a site of its own in a new folder."""

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, home: Path) -> None:
        """Set a site up in `home`."""
        self.home = home.resolve()
        self._serial = count()
        self.set_up()
        self._idle = self._run()

    @classmethod
    def programs(cls) -> Path:
        """Return the folder of the programs of its environment."""
        return (ENVIRONMENTS / cls.name / "bin").absolute()

    @abstractmethod
    def set_up(self) -> None:
        """Make an empty site."""

    @abstractmethod
    def post(self, letters: Sequence[Letter]) -> None:
        """Lay mails where the command finds them."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the product's own command that takes in all mails and ends."""

    @abstractmethod
    def tickets(self) -> int:
        """Count its tickets."""

    def sample(self, mails: int) -> Sample:
        """Take in so many new mails of known senders; every one must become a ticket."""
        letters = [
            letter(f"peer.{n}", customer(n % KNOWN), subject=f"Casella bloccata, caso {n}")
            for n in (next(self._serial) for _ in range(mails))
        ]
        had = self.tickets()
        self.post(letters)
        seconds, cpu = self._run()
        taken = self.tickets() - had
        assert taken == mails, f"{self.name} made {taken} tickets of {mails} mails"
        return Sample(mails, seconds - self._idle[0], cpu - self._idle[1])

    def call(self, *command: str, text: str | None = None) -> None:
        """Run a command of the environment in the site's folder; raises where it fails."""
        subprocess.run(
            [str(self.programs() / command[0]), *command[1:]],
            cwd=self.home,
            env=self.environment(),
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def environment(self) -> Mapping[str, str]:
        """Return the environment of its programs."""
        return os.environ | {"SENDMAILDEBUG": "sent.txt"}

    def _run(self) -> tuple[float, float]:
        """Run the command and return its seconds and its CPU seconds."""
        command = self.command()
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(self.programs() / command[0]), *command[1:]], cwd=self.home, env=self.environment()
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{self.name} failed"
        return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


class DjangoHelpdesk(Peer):
    """django-helpdesk reads a folder of mails with its management command get_email."""

    name = "django-helpdesk"
    package = "django-helpdesk[teams]==2.6.1"

    def set_up(self) -> None:
        (self.home / "bench_settings.py").write_text(_DJANGO_SETTINGS)
        (self.home / "bench_urls.py").write_text(_DJANGO_URLS)
        (self.home / "mails").mkdir()
        self.call("python", "-m", "django", "migrate", "--verbosity", "0")
        self.call("python", "-m", "django", "shell", text=_DJANGO_QUEUE)

    def environment(self) -> Mapping[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "bench_settings",
            "PYTHONPATH": str(self.home),
            "PYTHONWARNINGS": "ignore",
        }

    def post(self, letters: Sequence[Letter]) -> None:
        for number, one in enumerate(letters):
            (self.home / "mails" / f"{number:06}").write_bytes(one.raw.replace(b"\r\n", b"\n"))

    def command(self) -> Sequence[str]:
        return ("python", "-m", "django", "get_email", "--quiet")

    def tickets(self) -> int:
        return _ask(self.home / "helpdesk.sqlite", "SELECT count(*) FROM helpdesk_ticket")


class Roundup(Peer):
    """Roundup reads a mailbox with its program roundup-mailgw."""

    name = "roundup"
    package = "roundup==2.6.0"

    def set_up(self) -> None:
        values = {
            "rdbms_backend": "sqlite",
            "tracker_web": "http://peer.example/",
            "mail_domain": "peer.example",
            "mail_host": "localhost",
            "admin_email": "admin@peer.example",
        }
        config = ",".join(f"{name}={value}" for name, value in values.items())
        self.call("roundup-admin", "-i", "tracker", "install", "classic", "sqlite", config)
        self.call("roundup-admin", "-i", "tracker", "initialise", "parola")
        people = [
            f"create user username=cliente{n} address={customer(n)} roles=User"
            for n in range(KNOWN)
        ]
        self.call("roundup-admin", "-i", "tracker", text="\n".join([*people, "commit", "quit", ""]))
        self.post([])

    def post(self, letters: Sequence[Letter]) -> None:
        box = b"".join(
            b"From bench Mon Feb  2 10:00:00 2026\n" + one.raw.replace(b"\r\n", b"\n") + b"\n"
            for one in letters
        )
        (self.home / "box").write_bytes(box)

    def command(self) -> Sequence[str]:
        return ("roundup-mailgw", "tracker", "mailbox", "box")

    def tickets(self) -> int:
        return _ask(self.home / "tracker" / "db" / "db", "SELECT count(*) FROM _issue")


PEERS: tuple[type[Peer], ...] = (DjangoHelpdesk, Roundup)


def installed(stack: ExitStack) -> list[Peer]:
    """Return the peers that are installed, each with an empty site until the stack ends."""
    found: list[Peer] = []
    for kind in PEERS:
        if kind.programs().is_dir():
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-", dir=FOLDER))
            found.append(kind(Path(home)))
    return found


def install(kind: type[Peer]) -> None:
    """Make the environment of a peer, unless it is there."""
    home = ENVIRONMENTS / kind.name
    stamp = home / kind.package.replace("[", "-").replace("]", "")
    if stamp.exists():
        print(f"{kind.name}: already there")
        return
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", kind.package], check=True)
    stamp.touch()
    print(f"{kind.name}: {kind.package} installed in {home}")


def _ask(store: Path, question: str) -> int:
    connection = sqlite3.connect(store)
    try:
        return int(connection.execute(question).fetchone()[0])
    finally:
        connection.close()


if __name__ == "__main__":
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        install(peer)
