"""A Requester's Message as Channels hand it in, and where it landed: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.conversations import File, Words
from core.desk_profile import DeskProfile
from core.model import AuthorKind, Channel, Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A Requester's Message as a Channel hands it in."""

    desk_id: int
    desk: DeskProfile
    channel: Channel
    requester_id: int
    requester_name: str
    address: str | None
    """The mail address that answers may go to; None where none is known."""
    language: str = "it"
    subject: str = ""
    text: str
    full_text: str | None = None
    html_clean: str | None = None
    files: Sequence[File] = field(default=())
    external_id: str | None = None
    raw_mail_id: int | None = None
    mail_id: str = ""
    """The mail's own Message-ID; empty for other Channels and for a mail without one."""
    mail_ids: Sequence[str] = ()
    """The ids that the mail cites, oldest first."""
    automatic_source: str | None = None
    visitor_key: str | None = None

    def words(self) -> Words:
        """Return what is appended to the Conversation."""
        return Words(
            author_kind=AuthorKind.REQUESTER,
            author_name=self.requester_name,
            visibility=Visibility.PUBLIC,
            channel=self.channel,
            text=self.text,
            full_text=self.full_text,
            html_clean=self.html_clean,
            requester_id=self.requester_id,
            external_id=self.external_id,
            raw_mail_id=self.raw_mail_id,
            files=self.files,
        )


@dataclass(frozen=True, slots=True)
class Received:
    """Where a Requester's Message landed."""

    conversation_id: int
    ticket_id: int
    message_id: int | None
    """None where the Channel handed in the same Message before."""
    opened: bool
