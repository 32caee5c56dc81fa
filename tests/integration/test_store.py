"""The store: bytes kept once, Messages numbered without gaps, faults that are called by name."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from core import access, contents, conversations, requesters, sweeps
from core.contents import INLINE_BYTES, Folder
from core.conversations import File, Words
from core.db import Store, sqlite_url
from core.errors import CallerError, Conflict, NotFound, Transient
from core.model import (
    Attachment,
    AuthorKind,
    Channel,
    Content,
    Conversation,
    EntryState,
    Identity,
    IdentityKind,
    LoginFailure,
    Membership,
    MembershipRole,
    Message,
    Operator,
    Organisation,
    OutboxEntry,
    ParticipantKind,
    Requester,
    Visibility,
)
from tests import world as the_world
from tests.world import MONDAY, World, undone

WORDS = Words(
    author_kind=AuthorKind.REQUESTER,
    author_name="Giulia Bianchi",
    visibility=Visibility.PUBLIC,
    channel=Channel.WEB,
    text="Pronto?",
)


def say(store: Store, conversation_id: int, **changes: object) -> conversations.Appended | None:
    """Append a Message in a transaction of its own."""
    with store.begin() as session:
        words = replace(WORDS, **changes)  # type: ignore[arg-type] # any field of it
        return conversations.append(session, conversation_id, words, now=MONDAY)


# --- bytes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1])
def test_bytes_are_kept_once_in_the_row_or_in_a_file(store: Store, size: int) -> None:
    data = b"x" * size
    for _ in range(2):
        with store.begin() as session:
            sha256 = contents.put(session, store.ports.files, data)
    with store.read() as session:
        [row] = session.scalars(select(Content)).all()
        assert contents.get(session, store.ports.files, sha256) == data
    assert (row.sha256, row.size) == (contents.digest(data), size)
    assert (row.data is None) == (size > INLINE_BYTES)


def test_bytes_that_are_missing_are_not_found(store: Store, tmp_path: Path) -> None:
    with store.begin() as session:
        sha256 = contents.put(session, store.ports.files, b"x" * (INLINE_BYTES + 1))
    (tmp_path / "files" / sha256[:2] / sha256).unlink()
    with store.read() as session:
        with pytest.raises(NotFound, match="manca"):
            contents.get(session, store.ports.files, sha256)
        with pytest.raises(NotFound):
            contents.get(session, store.ports.files, "0" * 64)


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        real_sync(handle)

    def replace(path: Path, target: Path) -> Path:
        done.append("name")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    folder = Folder(tmp_path / "files")
    folder.write("ab" * 32, b"data")
    assert done == ["file", "name", "folder", "folder", "folder"]
    done.clear()
    folder.write("ab" * 32, b"data")
    assert done == ["folder"] * 3
    assert folder.read("ab" * 32) == b"data"


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    folder = Folder(tmp_path / "files")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            folder.write("ab" * 32, b"data")
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
    folder.write("ab" * 32, b"data")
    assert folder.read("ab" * 32) == b"data"


# --- Messages ----------------------------------------------------------------------------------


def test_eight_writers_number_without_gaps(world: World) -> None:
    here = world.mail().conversation_id
    start = threading.Barrier(8)

    def write(writer: int) -> list[int]:
        start.wait(timeout=30)
        numbers = []
        for number in range(10):
            appended = say(world.store, here, text=f"{writer}.{number}")
            assert appended is not None
            numbers.append(appended.seq)
        return numbers

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(write, range(8)))
    assert sorted(one for share in shares for one in share) == list(range(2, 82))
    assert all(share == sorted(share) for share in shares)
    with world.store.read() as session:
        assert session.get_one(Conversation, here).last_seq == 81
        seqs = session.scalars(select(Message.seq).order_by(Message.id)).all()
    assert sorted(seqs) == list(range(1, 82))


def test_a_rollback_gives_the_number_back(world: World) -> None:
    here = world.mail().conversation_id
    with undone(world.store) as session:
        assert conversations.append(session, here, WORDS, now=MONDAY) is not None
    appended = say(world.store, here)
    assert appended is not None
    assert appended.seq == 2


def test_a_repeat_costs_no_number_and_is_known_by_channel_and_conversation(world: World) -> None:
    here, there = world.mail().conversation_id, world.mail("marco").conversation_id
    assert say(world.store, here, external_id="1") is not None
    assert say(world.store, here, external_id="1") is None
    other = say(world.store, here, external_id="1", channel=Channel.EMAIL)
    assert other is not None
    assert other.seq == 3
    elsewhere = say(world.store, there, external_id="1")
    assert elsewhere is not None
    assert elsewhere.seq == 2


def test_the_same_repeat_by_eight_at_once_is_one_message(world: World) -> None:
    here = world.mail().conversation_id
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: say(world.store, here, external_id="1"), range(8)))
    assert len([one for one in done if one is not None]) == 1
    assert world.texts(here)[1:] == ["Pronto?"]


def test_files_are_attached_new_or_known(world: World) -> None:
    here = world.mail().conversation_id
    say(world.store, here, files=(File(name="a\0.pdf", content_type="x/y", data=b"1234"),))
    with world.store.read() as session:
        [first] = session.scalars(select(Attachment)).all()
    known = File(name="b.pdf", content_type="x/y", sha256=first.sha256, size=4, inline=True)
    say(world.store, here, files=(known,))
    with world.store.read() as session:
        _, second = session.scalars(select(Attachment).order_by(Attachment.id)).all()
    assert (first.name, first.size, first.inline) == ("a\N{REPLACEMENT CHARACTER}.pdf", 4, False)
    assert (second.sha256, second.size, second.inline) == (first.sha256, 4, True)


def test_taking_part_twice_is_taking_part(world: World) -> None:
    here = world.mail().conversation_id
    with world.store.begin() as session:
        for address in ("capo@x.example", "CAPO@X.EXAMPLE"):
            conversations.add_participant(session, here, ParticipantKind.CC, address=address)
        found = session.execute(text("SELECT address FROM participant WHERE kind = 'cc'")).scalars()
        assert list(found) == ["capo@x.example"]


# --- people ------------------------------------------------------------------------------------


def test_eight_mails_of_one_new_address_make_one_requester(world: World) -> None:
    start = threading.Barrier(8)

    def resolve(_: int) -> int:
        start.wait(timeout=30)
        with world.store.begin() as session:
            return requesters.resolve(
                session, IdentityKind.EMAIL, "Nuova@X.Example ", name="Nuova", now=MONDAY
            ).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(resolve, range(8)))) == 1
    with world.store.read() as session:
        [identity] = session.scalars(
            select(Identity).where(Identity.address == "nuova@x.example")
        ).all()
        people = session.scalar(select(func.count()).select_from(Requester))
    assert identity.verified_at is None
    assert people == 3


def test_an_address_is_somebody_s_or_no_address(world: World) -> None:
    with world.store.begin() as session:
        taken = {IdentityKind.EMAIL: "giulia.bianchi@comune.prato.example"}
        with pytest.raises(Conflict):
            requesters.add(session, name="Altra", identities=taken, now=MONDAY)
        with pytest.raises(CallerError):
            requesters.add(session, name="X", identities={IdentityKind.PEC: "x"}, now=MONDAY)
        assert requesters.visitor(session, name="", now=MONDAY).name == "Visitatore"


@pytest.mark.parametrize(
    ("who", "sees"),
    [("owner", True), ("stranger", False), ("follower", True), ("copy", False), ("admin", True)],
)
def test_what_a_requester_sees(world: World, who: str, *, sees: bool) -> None:
    here = world.mail().conversation_id
    with world.store.begin() as session:
        person = session.get_one(Requester, world.people["giulia" if who == "owner" else "marco"])
        kinds = {"follower": ParticipantKind.FOLLOWER, "copy": ParticipantKind.CC}
        if who in kinds:
            conversations.add_participant(
                session, here, kinds[who], address="m@x.example", requester_id=person.id
            )
        open_desks: list[int] = []
        if who == "admin":
            body = session.scalars(select(Organisation).limit(1)).one()
            session.get_one(Conversation, here).organisation_id = body.id
            session.merge(
                Membership(
                    requester_id=person.id,
                    organisation_id=body.id,
                    role=MembershipRole.ORGANISATION_ADMIN,
                )
            )
            open_desks = [world.desk_ids["rtpec"]]
            session.flush()
            assert not access.can_see(session, person, here)
        assert access.can_see(session, person, here, open_desks=open_desks) is sees
        if sees:
            found = access.require_sight(session, person, here, open_desks=open_desks)
            assert found.id == here
        else:
            with pytest.raises(NotFound):
                access.require_sight(session, person, here)


def test_an_operator_sees_their_desks_while_they_are_active(world: World) -> None:
    here = world.mail().conversation_id
    with world.store.begin() as session:
        anna, bruno = (session.get_one(Operator, world.people[one]) for one in ("anna", "bruno"))
        assert access.can_see(session, anna, here)
        assert not access.can_see(session, bruno, here)
        anna.disabled_at = MONDAY
        assert not access.can_see(session, anna, here)


# --- sweeps and faults -------------------------------------------------------------------------


def test_sweeps_take_away_only_what_is_over(world: World) -> None:
    old, new = MONDAY - timedelta(days=8), MONDAY
    with world.store.begin() as session:
        for state in EntryState:
            for created in (old, new):
                session.add(
                    OutboxEntry(
                        topic="x",
                        payload={},
                        state=state,
                        due_at=created,
                        attempts=0,
                        created_at=created,
                    )
                )
        session.add_all(LoginFailure(name="x", peer="y", at=at) for at in (old, new))
        sweeps_now = MONDAY + timedelta(minutes=1)
        session.flush()
        sweeps.forget_done_work(session, now=sweeps_now)
        sweeps.forget_logins(session, now=sweeps_now)
    with world.store.read() as session:
        rows = session.scalars(select(OutboxEntry)).all()
        left = [(row.state, row.created_at) for row in rows]
        assert session.scalars(select(LoginFailure.at)).all() == [new]
    assert (EntryState.DONE, old) not in left
    assert len(left) == 5


def test_a_store_that_is_locked_is_a_passing_fault(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.db.BUSY_SECONDS", 0.05)
    (tmp_path / "sportello.sqlite").write_bytes(sqlite_template.read_bytes())
    first, second = (the_world.open_store(sqlite_url(tmp_path), tmp_path) for _ in range(2))
    with first.begin() as writing:
        writing.execute(text("SELECT 1"))
        with pytest.raises(Transient, match="locked"), second.begin() as session:
            session.execute(text("SELECT 1"))
        with second.read() as session:
            assert session.scalar(select(func.count()).select_from(Conversation)) == 0
    first.close()
    second.close()


@pytest.mark.postgres
def test_a_store_that_is_away_is_a_passing_fault(tmp_path: Path) -> None:
    away = the_world.open_store("postgresql+psycopg://nobody@127.0.0.1:9/none", tmp_path)
    with pytest.raises(Transient, match="does not answer"), away.begin() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(Transient, match="does not answer"), away.read() as session:
        session.execute(text("SELECT 1"))
    assert not away.embedded
    away.close()


def test_a_pool_without_a_free_connection_is_a_passing_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.engine.pool, "_timeout", 0.05)
    monkeypatch.setattr(store.engine.pool, "_max_overflow", 0)
    held = [store.engine.connect() for _ in range(8)]
    try:
        with pytest.raises(Transient), store.read() as session:
            session.execute(text("SELECT 1"))
    finally:
        for one in held:
            one.close()


def test_what_a_reader_changes_is_not_kept(world: World) -> None:
    with world.store.read() as session:
        session.get_one(Requester, world.people["giulia"]).name = "Altra"
        session.flush()
    with world.store.read() as session:
        assert session.get_one(Requester, world.people["giulia"]).name == "Giulia Bianchi"
