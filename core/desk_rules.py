"""How a desk works: mailboxes, numbers, statuses, notices, pauses, limits. No words of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from core.desk_hours import DeskPart

if TYPE_CHECKING:
    from collections.abc import Mapping

StatusCode = Literal[
    "open", "taken", "pending_requester", "pending_third", "solved", "closed", "merged", "cancelled"
]
NoticeEvent = Literal[
    "ticket_opened", "ticket_taken", "ticket_progress", "ticket_closed", "operator_message",
    "requester_message", "ticket_solved", "ticket_escalated", "sla_due", "parcel_sent",
    "internal_message",
]  # fmt: skip
Audience = Literal["requester", "operators", "tecnico", "amministrativo", "level_above"]
NoticeChannel = Literal["email", "portal"]

DEFAULT_STATUS_LABELS: Mapping[str, str] = {
    "open": "aperto",
    "taken": "preso in carico",
    "pending_requester": "in attesa",
    "pending_third": "in attesa di terzi",
    "solved": "risolto",
    "closed": "chiuso",
    "merged": "unito",
    "cancelled": "annullato",
}


class Intake(DeskPart):
    channel: Literal["email", "pec"] = Field(default="email", description="Kind of mailbox.")
    # No plus sign: what follows one in the local part is the signed reply token.
    address: str = Field(
        pattern=r"^[^\s@+<>,;]+@[^\s@<>,;]+\.[^\s@<>,;.]+$", description="Address of the mailbox."
    )


class NumberFormat(DeskPart):
    start: int = Field(default=1001, gt=0, description="First number given in an empty store.")
    width: int = Field(default=0, ge=0, le=12, description="Digits, padded with zeros; 0: plain.")


class StatusWords(DeskPart):
    label: str = Field(min_length=1, description="What people read.")
    help: str = Field(default="", description="What it means, for the Requester.")


class Notice(DeskPart):
    """One rule of the notices: automatic mail or a line in the portal (model.md section 8)."""

    event: NoticeEvent = Field(description="What happened.")
    audience: Audience = Field(description="Who is told.")
    channel: NoticeChannel = Field(
        default="email", description="`email`, or `portal`: a system Message in the Conversation."
    )
    template: str = Field(
        default="",
        pattern=r"^[a-z_]*$",
        description="Template of the text; empty for a rule that is off.",
    )
    subject: str = Field(
        default="", description="First words of the subject, in place of the template's."
    )
    enabled: bool = Field(
        default=True, validate_default=True, description="False: never sent, for the reason given."
    )
    reason: str = Field(default="", description="Why it is sent or not, for Operators.")

    @field_validator("enabled")
    @classmethod
    def _what_is_sent_has_a_text(cls, enabled: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's signature
        if enabled and not info.data.get("template", "-"):
            raise ValueError("a notice that is sent needs its `template`")
        return enabled


class Pauses(DeskPart):
    pending_requester: bool = Field(
        default=True, description="Waiting for the Requester stops the resolution clock."
    )
    pending_third: bool = Field(
        default=False, description="Waiting for somebody else stops the resolution clock."
    )


class Visibility(DeskPart):
    organisation_admin_sees_organisation: bool = Field(
        default=False, description="Administrators of an Organisation see all of its Tickets."
    )
    organisation_label: str = Field(default="Organizzazione", description="Name of that view.")
    user_label: str = Field(default="Utente", description="Name of the view of one's own.")
    note: str = Field(default="", description="Who sees what, for people.")


class Attachments(DeskPart):
    max_files: int = Field(default=20, gt=0, description="Files with one Message.")
    max_file_mb: int = Field(default=25, gt=0, description="Size of one file, in megabytes.")


class Retention(DeskPart):
    tickets_months: int = Field(default=24, gt=0, description="After closing, then erased.")
    raw_mail_months: int = Field(default=12, gt=0, description="Mail as received.")
    receipts_months: int = Field(default=120, gt=0, description="PEC receipts.")


def _words_from_label(value: object) -> object:
    return {"label": value} if isinstance(value, str) else value


# `closed: chiuso` is enough where there is no help text.
StatusEntry = Annotated[
    StatusWords, BeforeValidator(_words_from_label, json_schema_input_type=str | StatusWords)
]
