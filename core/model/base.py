"""What every row shares: the declarative base, column types, short spellings of columns."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy import Enum as EnumColumn
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import JSON, TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An instant: aware in Python, always UTC; `timestamptz` on PostgreSQL, naive on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Ask PostgreSQL for a column with a time zone; SQLite has none."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.DATETIME())  # type: ignore[no-untyped-call] # its gap
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes: a time without a zone is a wrong time twice a year."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "an instant needs a time zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give back aware UTC whatever the database returned."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: SQLite counts rows only in a column that is spelt INTEGER.
BigInt = BigInteger().with_variant(Integer, "sqlite")

Id = Annotated[int, mapped_column(BigInt, primary_key=True, autoincrement=True)]
Code = Annotated[str, mapped_column(String(64))]
Text200 = Annotated[str, mapped_column(String(200))]
Address = Annotated[str, mapped_column(String(320))]
Sha256 = Annotated[str, mapped_column(String(64))]


def enum_column(members: type[enum.StrEnum], *, length: int = 32) -> EnumColumn:
    """Return a column type that stores the members' values as text: no migration for a new one."""
    return EnumColumn(
        members,
        native_enum=False,
        length=length,
        create_constraint=False,
        values_callable=lambda kinds: [kind.value for kind in kinds],
    )


def reference(target: str, *, index: bool = False, primary_key: bool = False) -> Any:
    """Return a foreign-key column to `target` ("table.column"); optional when annotated so."""
    return mapped_column(BigInt, ForeignKey(target), index=index, primary_key=primary_key)


class Base(DeclarativeBase):
    """Base of all rows; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this name from the class
        datetime: Instant(),
        int: BigInt,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


def table(model: type[Base]) -> Table:
    """Return the table of a model, for statements that go by without the ORM."""
    return cast("Table", model.__table__)
