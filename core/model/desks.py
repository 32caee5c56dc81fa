"""A Desk as the store knows it: its identity and its number counter; all else is its desk file."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from core.model.base import Base, Code, Id


class Desk(Base):
    """One desk; `code` ties it to the file in config/desks."""

    __tablename__ = "desk"

    id: Mapped[Id]
    code: Mapped[Code] = mapped_column(unique=True)
    next_number: Mapped[int]
    """The number that the desk's next Ticket gets."""
