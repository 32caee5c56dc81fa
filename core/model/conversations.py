"""One stream of Messages with one Requester, whatever the Channel."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.attachments import Attachment
from core.model.base import Address, Base, Id, Text200, enum_column, reference


class Channel(enum.StrEnum):
    """The way a Message came or goes."""

    EMAIL = "email"  #: ordinary mail
    PEC = "pec"  #: certified mail
    WEB = "web"  #: chat, form, portal
    TELEGRAM = "telegram"  #: Telegram
    PHONE = "phone"  #: typed in by an Operator
    REPORT = "report"  #: the diagnostic agent


class Holder(enum.StrEnum):
    """Who is to answer now."""

    ASSISTANT = "assistant"  #: the Assistant answers
    OPERATOR = "operator"  #: an Operator has it
    NOBODY = "nobody"  #: waits for an Operator


class AuthorKind(enum.StrEnum):
    """What kind of author wrote a Message."""

    REQUESTER = "requester"  #: the person who asks, or somebody in copy
    OPERATOR = "operator"  #: a human who answers
    ASSISTANT = "assistant"  #: the Assistant
    SYSTEM = "system"  #: Sportello itself
    DIAGNOSTIC_AGENT = "diagnostic_agent"  #: the program on a customer's PC


class Visibility(enum.StrEnum):
    """Who may read a Message; never defaulted."""

    PUBLIC = "public"  #: everybody in the Conversation
    INTERNAL = "internal"  #: Operators only


class ParticipantKind(enum.StrEnum):
    """Why somebody takes part in a Conversation."""

    REQUESTER = "requester"  #: who asked
    CC = "cc"  #: in copy
    ASSIGNEE = "assignee"  #: the Operator in charge
    FOLLOWER = "follower"  #: asked to follow it


class Conversation(Base):
    """A stream of Messages; a Ticket is a Conversation that somebody must answer."""

    __tablename__ = "conversation"

    id: Mapped[Id]
    desk_id: Mapped[int] = reference("desk.id")
    channel: Mapped[Channel] = mapped_column(enum_column(Channel))
    """The Channel it began on."""
    subject: Mapped[str] = mapped_column(Text)
    requester_id: Mapped[int] = reference("requester.id", index=True)
    organisation_id: Mapped[int | None] = reference("organisation.id", index=True)
    office_id: Mapped[int | None] = reference("office.id")
    holder: Mapped[Holder] = mapped_column(enum_column(Holder))
    visitor_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """SHA-256 of the secret that a visitor's browser holds; None where nobody visits."""
    last_seq: Mapped[int] = mapped_column(default=0)
    """Number of the newest Message; incremented in the transaction that appends it."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Message(Base):
    """One entry of a Conversation, numbered without gaps."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("conversation_id", "seq"),
        UniqueConstraint("conversation_id", "channel", "external_id"),
        CheckConstraint("visibility IN ('public', 'internal')", name="visibility"),
    )

    id: Mapped[Id]
    conversation_id: Mapped[int] = reference("conversation.id")
    seq: Mapped[int]
    author_kind: Mapped[AuthorKind] = mapped_column(enum_column(AuthorKind))
    requester_id: Mapped[int | None] = reference("requester.id")
    operator_id: Mapped[int | None] = reference("operator.id")
    author_name: Mapped[Text200]
    """The name as it stood when the Message was written."""
    visibility: Mapped[Visibility] = mapped_column(enum_column(Visibility))
    channel: Mapped[Channel] = mapped_column(enum_column(Channel))
    external_id: Mapped[str | None] = mapped_column(String(200))
    """What the Channel calls it: the RawMail line, the browser's own id. A repeat is harmless."""
    body_text: Mapped[str] = mapped_column(Text)
    """The new part: what the author wrote this time."""
    full_text: Mapped[str | None] = mapped_column(Text)
    """The whole text where quoting was cut from it, else None."""
    body_html_clean: Mapped[str | None] = mapped_column(Text)
    """Sanitised HTML of the whole mail, None where there was none."""
    raw_mail_id: Mapped[int | None] = reference("raw_mail.id")
    at: Mapped[datetime]

    attachments: Mapped[list[Attachment]] = relationship(order_by=Attachment.id)


class Participant(Base):
    """Somebody who takes part: a Requester, an Operator or a bare address."""

    __tablename__ = "participant"
    __table_args__ = (
        UniqueConstraint("conversation_id", "kind", "address"),
        Index("ix_participant_requester", "requester_id"),
        Index("ix_participant_operator", "operator_id"),
    )

    id: Mapped[Id]
    conversation_id: Mapped[int] = reference("conversation.id")
    kind: Mapped[ParticipantKind] = mapped_column(enum_column(ParticipantKind))
    requester_id: Mapped[int | None] = reference("requester.id")
    operator_id: Mapped[int | None] = reference("operator.id")
    address: Mapped[Address]
    """Mail address, lower case; empty for somebody who has none."""


class ReadMark(Base):
    """How far one person has read one Conversation."""

    __tablename__ = "read_mark"

    conversation_id: Mapped[int] = reference("conversation.id", primary_key=True)
    reader: Mapped[str] = mapped_column(String(40), primary_key=True)
    """`operator:7` or `requester:12`."""
    last_seq: Mapped[int]
    at: Mapped[datetime]
