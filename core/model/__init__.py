"""The nouns of Sportello, one a file: rows with their invariants, no I/O."""

from __future__ import annotations

from core.model.attachments import Attachment, Content
from core.model.base import Base, table
from core.model.conversations import (
    AuthorKind,
    Channel,
    Conversation,
    Holder,
    Message,
    Participant,
    ParticipantKind,
    ReadMark,
    Visibility,
)
from core.model.desks import Desk
from core.model.logins import LoginFailure, LoginSession
from core.model.mail import Disposition, MailRef, RawMail
from core.model.operators import DeskMembership, Operator, OperatorRole
from core.model.outbox import Delivery, DeliveryState, EntryState, OutboxEntry
from core.model.requesters import (
    Identity,
    IdentityKind,
    Membership,
    MembershipRole,
    Office,
    Organisation,
    Requester,
)
from core.model.tickets import TRANSITIONS, Severity, Status, Ticket
from core.model.timeline import Fact, TimelineEntry

__all__ = [
    "TRANSITIONS",
    "Attachment",
    "AuthorKind",
    "Base",
    "Channel",
    "Content",
    "Conversation",
    "Delivery",
    "DeliveryState",
    "Desk",
    "DeskMembership",
    "Disposition",
    "EntryState",
    "Fact",
    "Holder",
    "Identity",
    "IdentityKind",
    "LoginFailure",
    "LoginSession",
    "MailRef",
    "Membership",
    "MembershipRole",
    "Message",
    "Office",
    "Operator",
    "OperatorRole",
    "Organisation",
    "OutboxEntry",
    "Participant",
    "ParticipantKind",
    "RawMail",
    "ReadMark",
    "Requester",
    "Severity",
    "Status",
    "Ticket",
    "TimelineEntry",
    "Visibility",
    "table",
]
