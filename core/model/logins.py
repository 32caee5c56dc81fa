"""Signed-in browsers, and the failures that slow a guesser down."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Address, Base, Id, Sha256, reference


class LoginSession(Base):
    """One signed-in browser of one person; the cookie's secret is stored hashed."""

    __tablename__ = "login_session"

    token_hash: Mapped[Sha256] = mapped_column(primary_key=True)
    operator_id: Mapped[int | None] = reference("operator.id", index=True)
    requester_id: Mapped[int | None] = reference("requester.id", index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class LoginFailure(Base):
    """One failed sign-in, by what was typed and from where."""

    __tablename__ = "login_failure"
    __table_args__ = (
        Index("ix_login_failure_name", "name", "at"),
        Index("ix_login_failure_peer", "peer", "at"),
    )

    id: Mapped[Id]
    name: Mapped[Address]
    peer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
