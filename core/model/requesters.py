"""The people who ask, the addresses they ask from, and the bodies they belong to."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import Address, Base, Id, Text200, enum_column, reference


class IdentityKind(enum.StrEnum):
    """Where an Identity's address is valid."""

    EMAIL = "email"  #: a mail address, lower case
    PEC = "pec"  #: a certified mail address, lower case
    LOGIN = "login"  #: a sign-in name or Helpdesk Code
    CMS = "cms"  #: the subject of a launch from another portal
    TELEGRAM = "telegram"  #: a Telegram user id
    PHONE = "phone"  #: a telephone number


class MembershipRole(enum.StrEnum):
    """What a Requester is in an Organisation."""

    USER = "user"  #: sees their own Tickets
    ORGANISATION_ADMIN = "organisation_admin"  #: sees the Organisation's, where the Desk allows it


class Organisation(Base):
    """A body that is served: Ente, CCIAA, Azienda in Convenzione."""

    __tablename__ = "organisation"

    id: Mapped[Id]
    name: Mapped[Text200] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(64), default="")
    areas: Mapped[list[str]] = mapped_column(default=list)
    """Areas of competence it is enabled for, as `PEC`, `PKI`."""


class Office(Base):
    """A Sede of an Organisation."""

    __tablename__ = "office"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[Id]
    organisation_id: Mapped[int] = reference("organisation.id")
    name: Mapped[Text200]


class Requester(Base):
    """The person who asks; may have no account (then no password)."""

    __tablename__ = "requester"

    id: Mapped[Id]
    name: Mapped[Text200]
    language: Mapped[str] = mapped_column(String(8), default="it")
    phone: Mapped[str | None] = mapped_column(String(40))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]
    anonymised_at: Mapped[datetime | None]

    identities: Mapped[list[Identity]] = relationship(back_populates="requester")

    @property
    def email(self) -> str | None:
        """The first mail address, the one that answers go to."""
        kinds = (IdentityKind.EMAIL, IdentityKind.PEC)
        return next((one.address for one in self.identities if one.kind in kinds), None)


class Identity(Base):
    """Requester × kind × address; an address belongs to one Requester."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("kind", "address"),)

    id: Mapped[Id]
    requester_id: Mapped[int] = reference("requester.id", index=True)
    kind: Mapped[IdentityKind] = mapped_column(enum_column(IdentityKind))
    address: Mapped[Address]
    verified_at: Mapped[datetime | None]
    """When the person proved that the address is theirs; None for a mail that only claims it."""

    requester: Mapped[Requester] = relationship(back_populates="identities")


class Membership(Base):
    """Requester × Organisation."""

    __tablename__ = "membership"

    requester_id: Mapped[int] = reference("requester.id", primary_key=True)
    organisation_id: Mapped[int] = reference("organisation.id", primary_key=True)
    role: Mapped[MembershipRole] = mapped_column(
        enum_column(MembershipRole), default=MembershipRole.USER
    )
