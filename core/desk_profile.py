"""A desk as data: everything in which one desk differs from another, read from its desk file."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from core.desk_hours import DeskHoursAndTargets
from core.desk_rules import (
    DEFAULT_STATUS_LABELS,
    Attachments,
    Audience,
    Intake,
    Notice,
    NoticeEvent,
    NumberFormat,
    Pauses,
    Retention,
    StatusCode,
    StatusEntry,
    StatusWords,
    Visibility,
)
from core.desk_services import Orders, Rma
from core.desk_texts import (
    Brand,
    Buttons,
    Chat,
    Contact,
    Guide,
    Login,
    PublishedTargets,
    RequestForm,
    RequestList,
)

SIGNATURE_FIELDS = frozenset({"operator", "desk"})


class DeskProfile(DeskHoursAndTargets):
    """One desk. Only `code`, `name` and `intake` are required; the rest has sober defaults."""

    code: str = Field(
        pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
        max_length=40,
        description="Short name in addresses and subjects: small letters, digits, hyphens.",
    )
    name: str = Field(min_length=1, description="Name of the desk, as people read it.")
    language: Literal["it", "en"] = Field(default="it", description="Language of its notices.")
    brand: Brand | None = Field(default=None, description="In whose name it answers.")
    assistant_name: str = Field(
        default="", description="Shown name of the Assistant; empty: `Assistente`."
    )

    intake: tuple[Intake, ...] = Field(
        min_length=1, description="Mailboxes of the desk; the first is also the sender of answers."
    )
    from_name: str = Field(default="", description="Sender's name; the desk's where empty.")
    signature: str = Field(
        default="{operator}\n{desk}",
        description="Below each answer by mail; `{operator}` and `{desk}` are filled in.",
    )
    registered_senders_only: bool = Field(
        default=False, description="Mail of unknown senders is answered, not admitted."
    )
    registration_instructions: tuple[str, ...] = Field(
        default=(),
        validate_default=True,
        description="How to register, sent to an unknown sender.",
    )

    number: NumberFormat = Field(default_factory=NumberFormat, description="Ticket numbers.")
    statuses: Mapping[StatusCode, StatusEntry] = Field(
        default_factory=dict, description="Words by stored status."
    )
    unread: StatusEntry | None = Field(
        default=None, description="Shown over the status while an answer is unread."
    )
    categories: tuple[str, ...] = Field(default=(), description="Kinds of problem.")
    services: tuple[str, ...] = Field(default=(), description="Services one can ask about.")
    areas: tuple[str, ...] = Field(default=(), description="Areas of an Organisation.")
    priorities: tuple[str, ...] = Field(
        default=("Bassa", "Media", "Alta", "Urgente"), description="The Requester's *priorità*."
    )
    default_priority: str = Field(
        default="Media", validate_default=True, description="The one chosen at first."
    )
    delivery_modes: tuple[str, ...] = Field(default=(), description="Service by contract.")
    auto_close_days: int | None = Field(
        default=4, gt=0, description="Days from solved to closed; null: only Operators close."
    )
    direct_close: bool = Field(
        default=False, description="A Ticket may be closed without being solved first."
    )
    pauses: Pauses = Field(default_factory=Pauses, description="What stops the clocks.")

    hours_text: tuple[str, ...] = Field(default=(), description="Hours as they are published.")
    hours_note: str = Field(default="", description="How the hours are to be read; for Operators.")
    severities_text: str = Field(default="", description="Severity scale in one line.")
    published_targets: PublishedTargets | None = Field(
        default=None, description="Table of promised times, as published."
    )

    notices: tuple[Notice, ...] = Field(default=(), description="Who is told what, and how.")
    visibility: Visibility = Field(
        default_factory=Visibility, description="Who sees which Tickets."
    )
    attachments: Attachments = Field(default_factory=Attachments, description="Limits of files.")
    retention: Retention = Field(default_factory=Retention, description="How long things are kept.")

    landing: Guide | None = Field(default=None, description="First page of the desk.")
    contacts_title: str = Field(default="Contatti", description="Heading of the contacts.")
    contacts: tuple[Contact, ...] = Field(default=(), description="Ways to reach the desk.")
    login: Login = Field(default_factory=Login, description="Sign-in of Requesters.")
    request_form: RequestForm = Field(
        default_factory=RequestForm, description="Form for a request."
    )
    request_list: RequestList = Field(
        default_factory=RequestList, description="A person's requests."
    )
    chat: Chat = Field(default_factory=Chat, description="Chat page.")
    buttons: Buttons = Field(default_factory=Buttons, description="Labels of the Operators' verbs.")
    rma: Rma | None = Field(default=None, description="Returns of devices, if the desk has them.")
    orders: Orders | None = Field(default=None, description="Orders, if the desk has them.")
    guides: tuple[Guide, ...] = Field(default=(), description="Manuals, glossaries, help pages.")
    labels: Mapping[str, str] = Field(
        default_factory=dict, description="Other words of its pages, by key."
    )
    sample_subjects: tuple[str, ...] = Field(
        default=(), description="Subjects as people write them, for examples and trials."
    )

    @field_validator("signature")
    @classmethod
    def _signature_fields_are_known(cls, signature: str) -> str:
        try:
            used = {
                field for _, field, _, _ in string.Formatter().parse(signature) if field is not None
            }
        except ValueError as error:
            raise ValueError(
                f"unbalanced braces ({error}): write {{operator}} or {{desk}}"
            ) from error
        if unknown := used - SIGNATURE_FIELDS:
            raise ValueError(f"unknown {{{unknown.pop()}}}: only {{operator}} and {{desk}}")
        return signature

    @field_validator("registration_instructions")
    @classmethod
    def _unknown_senders_get_an_answer(
        cls, instructions: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if info.data.get("registered_senders_only") and not instructions:
            raise ValueError("needed with `registered_senders_only`: what unknown senders read")
        return instructions

    @field_validator("default_priority")
    @classmethod
    def _default_is_a_priority(cls, priority: str, info: ValidationInfo) -> str:
        if priority not in info.data.get("priorities", (priority,)):
            raise ValueError(f"`{priority}` is not among the desk's `priorities`")
        return priority

    @property
    def address(self) -> str:
        """The address answers come from: the first mailbox."""
        return self.intake[0].address

    @property
    def sender_name(self) -> str:
        """The name beside the address in `From`."""
        return self.from_name or self.name

    def format_number(self, number: int) -> str:
        """Write a Ticket's number as this desk does (`000314`, `9630`)."""
        return str(number).zfill(self.number.width)

    def subject_reference(self, number: int) -> str:
        """Write the reference for subjects, unique over all desks: `[code #number]`."""
        return f"[{self.code} #{self.format_number(number)}]"

    def status_help(self, status: str) -> str:
        """Say what a stored status means, for the Requester; empty where the desk says nothing."""
        words = self._status_words(status)
        return words.help if words else ""

    def status_label(self, status: str) -> str:
        """Return what people read for a stored status."""
        words = self._status_words(status)
        return words.label if words else DEFAULT_STATUS_LABELS[status]

    def _status_words(self, status: str) -> StatusWords | None:
        return next((words for code, words in self.statuses.items() if code == status), None)

    def notices_for(self, event: NoticeEvent, audience: Audience) -> tuple[Notice, ...]:
        """Return the rules in force for an event and an audience; none: nothing may be sent."""
        return tuple(
            notice
            for notice in self.notices
            if notice.enabled and (notice.event, notice.audience) == (event, audience)
        )

    def sign(self, operator: str) -> str:
        """Return the signature of an Operator's answer by mail."""
        return self.signature.format(operator=operator, desk=self.name)


class Desks(Mapping[str, DeskProfile]):
    """All desks of an installation by code; also found by a recipient's address."""

    def __init__(self, profiles: Iterable[DeskProfile]) -> None:
        """Raise ValueError where two desks share a code or a mailbox."""
        self._by_code: dict[str, DeskProfile] = {}
        self._by_address: dict[str, DeskProfile] = {}
        for profile in profiles:
            self._add(profile)

    def _add(self, profile: DeskProfile) -> None:
        if profile.code in self._by_code:
            raise ValueError(f"two desks with the code `{profile.code}`")
        self._by_code[profile.code] = profile
        for intake in profile.intake:
            address = base_address(intake.address)
            if address in self._by_address:
                raise ValueError(f"the mailbox `{intake.address}` is given twice")
            self._by_address[address] = profile

    def __getitem__(self, code: str) -> DeskProfile:
        return self._by_code[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_code)

    def __len__(self) -> int:
        return len(self._by_code)

    def by_address(self, address: str) -> DeskProfile | None:
        """Find the desk of a recipient, whatever its case and with or without a `+tag`."""
        return self._by_address.get(base_address(address))


def base_address(address: str) -> str:
    """Write an address in small letters, without the `+tag` of its local part (RFC 5233)."""
    local, _, domain = address.strip().lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
