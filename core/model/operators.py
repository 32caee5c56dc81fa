"""The people who answer, and at which Desks."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.model.base import Address, Base, Id, Text200, enum_column, reference


class OperatorRole(enum.StrEnum):
    """What an Operator is at one Desk."""

    OPERATORE = "operatore"  #: answers and follows
    TECNICO = "tecnico"  #: also closes and works at the bench
    AMMINISTRATIVO = "amministrativo"  #: administrative staff
    AMMINISTRATORE_SISTEMA = "amministratore_sistema"  #: administers the installation


class Operator(Base):
    """A human who answers; never the same person row as a Requester."""

    __tablename__ = "operator"

    id: Mapped[Id]
    name: Mapped[Text200]
    email: Mapped[Address] = mapped_column(unique=True)
    """Sign-in name and address of notices, lower case."""
    password_hash: Mapped[str | None] = mapped_column(String(200))
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    desks: Mapped[list[DeskMembership]] = relationship(
        back_populates="operator", order_by="DeskMembership.desk_id"
    )

    @property
    def active(self) -> bool:
        """Whether this Operator may sign in."""
        return self.disabled_at is None


class DeskMembership(Base):
    """Operator × Desk with role and level; role and level give audiences and escalation."""

    __tablename__ = "desk_membership"

    operator_id: Mapped[int] = reference("operator.id", primary_key=True)
    desk_id: Mapped[int] = reference("desk.id", primary_key=True)
    role: Mapped[OperatorRole] = mapped_column(enum_column(OperatorRole))
    level: Mapped[int] = mapped_column(default=1)

    operator: Mapped[Operator] = relationship(back_populates="desks")
