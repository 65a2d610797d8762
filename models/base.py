"""What every table shares: naming of constraints, UTC instants, enums as checked text."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import DateTime, Enum, MetaData, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The metadata that Alembic compares the database with."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


class Timestamped:
    """When the row was written, for people; no saga deadline is ever derived from it."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def checked(enum: type[StrEnum], name: str) -> Enum:
    """A text column that the database restricts to the values of `enum`."""
    return Enum(
        enum,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
