"""Services a desk may carry beside its Tickets, as words: returns of devices (RMA) and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from core.desk_hours import DeskPart
from core.desk_texts import Entry

RmaStatus = Literal[
    "to_ship", "shipped", "in_service", "returning", "delivered", "no_return", "cancelled"
]
OrderState = Literal[
    "awaiting_payment", "awaiting_documents", "awaiting_processing", "active", "expiring",
    "expired", "cancelled",
]  # fmt: skip


class RmaStatusWords(DeskPart):
    label: str = Field(description="What people read in the column.")
    help: str = Field(default="", description="What it means, for the Requester.")


class Rma(DeskPart):
    """Returns of devices (model.md section 4)."""

    column: str = Field(default="Status RMA", description="Header of the status column.")
    statuses: Mapping[RmaStatus, RmaStatusWords] = Field(description="Words by stored status.")
    first_message: str = Field(description="System Message of a Ticket opened by a Report.")
    ship_to: tuple[str, ...] = Field(min_length=1, description="Postal address, line by line.")
    ship_what: str = Field(description="What goes into the parcel.")
    steps: tuple[str, ...] = Field(default=(), description="The procedure, step by step.")
    advice: tuple[str, ...] = Field(default=(), description="Highlighted advice.")
    multiple_selection: str = Field(
        default="Selezione multipla", description="Button to work on several Tickets at once."
    )
    tool: Mapping[str, str] = Field(
        default_factory=dict, description="Words of the diagnostic tool and of its page."
    )


class OrderStateWords(DeskPart):
    label: str = Field(description="The state as a heading.")
    list_label: str = Field(default="", description="The state in a list, where it differs.")
    help: str = Field(default="", description="What it means, for the Requester.")
    buttons: tuple[str, ...] = Field(default=(), description="Buttons shown in this state.")
    guides: tuple[str, ...] = Field(default=(), description="Guides linked from this state.")
    confirm: str = Field(default="", description="Asked before the order is cancelled.")


class Orders(DeskPart):
    """Purchases and renewals (model.md section 5)."""

    states: Mapping[OrderState, OrderStateWords] = Field(description="Words by stored state.")
    card: tuple[Entry, ...] = Field(default=(), description="Items of the product card, in order.")
    columns: tuple[Entry, ...] = Field(default=(), description="Columns of the list, in order.")
    movements: tuple[str, ...] = Field(default=(), description="Purchase, renewal.")
    types: tuple[str, ...] = Field(default=(), description="Types of order.")
    de_visu: tuple[str, ...] = Field(default=(), description="Ways of being identified.")
    manage_menu: tuple[str, ...] = Field(default=(), description="Items of the card's menu.")
    help_menu: tuple[str, ...] = Field(default=(), description="Items of the help menu.")
