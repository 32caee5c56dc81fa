"""What a desk shows: contacts, guides, forms, lists, chat, sign-in, buttons. Words, no rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from core.desk_hours import DeskPart

ContactKind = Literal["phone", "email", "web", "chat", "form", "address"]
LoginKind = Literal["email", "helpdesk_code", "login", "cms_subject"]
FieldName = Literal[
    "desk", "cc", "name", "email", "phone", "pec", "area", "service", "category", "priority",
    "website", "subject", "description", "attachments",
]  # fmt: skip


class Brand(DeskPart):
    organisation: str = Field(description="Organisation in whose name the desk answers.")
    product: str = Field(default="", description="The served product or project.")
    logo_text: str = Field(default="", description="Words shown where a logo would stand.")


class Contact(DeskPart):
    kind: ContactKind = Field(description="How this contact is reached.")
    text: str = Field(description="The line as people read it, value included.")
    value: str = Field(default="", description="Number, address or URL behind the line.")
    note: str = Field(default="", description="When or for whom, below the line.")

    @property
    def label(self) -> str:
        """The words of the line before its value (`NUMERO VERDE`); empty where there are none."""
        before, found, _ = self.text.rpartition(self.value) if self.value else ("", "", "")
        return before.rstrip(": ") if found else ""


class Section(DeskPart):
    heading: str = Field(default="", description="Heading of this part of the page.")
    paragraphs: tuple[str, ...] = Field(default=(), description="Running text.")
    items: tuple[str, ...] = Field(default=(), description="A list below the text.")


class Guide(DeskPart):
    """A page of text that is published as it stands: landing page, manual, glossary."""

    slug: str = Field(default="", pattern=r"^[a-z0-9-]*$", description="Last part of its address.")
    title: str = Field(description="Title of the page.")
    subtitles: tuple[str, ...] = Field(default=(), description="Lines under the title.")
    audience: Literal["everybody", "operators"] = Field(
        default="everybody", description="Who may read it."
    )
    sections: tuple[Section, ...] = Field(default=(), description="The page, in order.")
    footer: tuple[str, ...] = Field(default=(), description="Closing lines.")


class FormField(DeskPart):
    """One field of the request form; services, categories and priorities come from the desk."""

    name: FieldName = Field(description="Which field this is.")
    label: str = Field(description="Its label.")
    required: bool = Field(default=False, description="Whether the form is refused without it.")
    hint: str = Field(default="", description="Help below the field.")
    placeholder: str = Field(default="", description="Grey text inside the field.")
    options: tuple[str, ...] = Field(default=(), description="Values to choose from, if fixed.")
    value: str = Field(default="", description="Value at first.")


class RequestForm(DeskPart):
    title: str = Field(default="Invia una richiesta", description="Title of the page.")
    intro: tuple[str, ...] = Field(default=(), description="Text above the form.")
    fields: tuple[FormField, ...] = Field(
        default=(
            FormField(name="name", label="Nome e cognome", required=True),
            FormField(name="email", label="Indirizzo e-mail", required=True),
            FormField(name="subject", label="Oggetto", required=True),
            FormField(name="description", label="Descrizione", required=True),
            FormField(name="attachments", label="Allegati (facoltativo)"),
        ),
        min_length=1,
        description="Fields in order.",
    )
    submit: str = Field(default="Invia", description="The button.")
    missing: str = Field(
        default="Mancano alcuni dati obbligatori: completa i campi segnalati in rosso.",
        description="What is said when required data are missing.",
    )


class Entry(DeskPart):
    """A menu item, tab, column, filter or counter: its key in the product and its words."""

    key: str = Field(pattern=r"^[a-z_]+$", description="What it is in the product.")
    label: str = Field(description="What people read.")
    value: str = Field(default="", description="Value at first, for a filter.")


class RequestList(DeskPart):
    title: str = Field(default="Le mie richieste", description="Title of the list.")
    area: str = Field(default="Area riservata", description="Header of the signed-in pages.")
    breadcrumb: str = Field(default="", description="Path above the title.")
    menu: tuple[Entry, ...] = Field(default=(), description="Menu, in order.")
    tabs: tuple[Entry, ...] = Field(default=(), description="Tabs, in order.")
    subtabs: tuple[Entry, ...] = Field(default=(), description="Tabs of the second row.")
    counters: tuple[Entry, ...] = Field(default=(), description="Live counters, in order.")
    columns: tuple[Entry, ...] = Field(
        default=(
            Entry(key="id", label="Numero"),
            Entry(key="subject", label="Oggetto"),
            Entry(key="status", label="Stato"),
            Entry(key="opened", label="Aperto"),
            Entry(key="updated", label="Aggiornato"),
        ),
        min_length=1,
        description="Columns, in order.",
    )
    date_format: str = Field(
        default="dd/MM/yyyy HH:mm", description="How days are written in the list (CLDR pattern)."
    )
    filters: tuple[Entry, ...] = Field(default=(), description="Filters beside the search.")
    search: str = Field(default="Cerca richieste", description="Words in the search field.")
    follow: str = Field(default="Segui", description="Button that follows a list.")
    empty: str = Field(
        default="Non è stata trovata nessuna richiesta.", description="Shown for an empty list."
    )
    new_request: str = Field(default="Nuova richiesta", description="Button to the form.")
    notes: tuple[str, ...] = Field(default=(), description="Lines above the list.")


class Login(DeskPart):
    kind: LoginKind = Field(default="email", description="Identity that signs in.")
    direct: bool = Field(
        default=True, description="False: people come from another portal, never by this form."
    )
    title: str = Field(default="Accedi", description="Title of the form.")
    open_label: str = Field(default="Accedi", description="Link that opens the form.")
    identifier_label: str = Field(default="Indirizzo e-mail", description="First field.")
    password_label: str = Field(default="Password", description="Second field.")
    submit: str = Field(default="Accedi", description="The button.")
    forgot: str = Field(default="Password dimenticata?", description="Link for a new password.")
    operator_link: str = Field(
        default="Accesso operatori", description="Link to the Operators' sign-in."
    )
    notes: tuple[str, ...] = Field(default=(), description="Text beside the form.")


class Chat(DeskPart):
    enabled: bool = Field(default=True, description="Whether the desk has a chat page.")
    title: str = Field(default="Chat con l'assistenza", description="Title of the page.")
    greeting: str = Field(
        default="Ciao! Scrivi qui la tua richiesta: ti risponderà un operatore.",
        description="First line of every new chat.",
    )
    quick_replies: tuple[str, ...] = Field(default=(), description="Answers to tap, in order.")
    placeholder: str = Field(
        default="Scrivi il tuo messaggio qui", description="Grey text of the input."
    )
    send: str = Field(default="Invia", description="The button.")
    today: str = Field(default="Oggi", description="Separator of the present day.")
    closed_note: str = Field(
        default="La richiesta è chiusa: puoi rileggere la conversazione, ma non scrivere.",
        description="In place of the input once the Ticket is closed.",
    )
    notes: tuple[str, ...] = Field(default=(), description="Text beside the chat.")
    entry_page: Mapping[str, str] = Field(
        default_factory=dict, description="Labels of the page from which the chat is reached."
    )


class Buttons(DeskPart):
    """What an Operator presses; every label can be changed."""

    take: str = Field(default="Prendi in carico", description="Take a Ticket.")
    assign: str = Field(default="Assegna", description="Give it to an Operator.")
    answer: str = Field(default="Rispondi", description="Answer the Requester.")
    internal_message: str = Field(
        default="Comunicazione interna", description="Write to Operators only."
    )
    progress: str = Field(
        default="In lavorazione", description="Tell technical staff the progress."
    )
    wait: str = Field(default="In attesa del richiedente", description="Wait for the Requester.")
    wait_third: str = Field(default="In attesa di terzi", description="Wait for somebody else.")
    resume: str = Field(default="Riprendi", description="End the waiting.")
    escalate: str = Field(
        default="Passa al livello superiore", description="Give it to the level above."
    )
    solve: str = Field(default="Risolvi", description="Mark it solved.")
    close: str = Field(default="Chiudi", description="Close it.")
    reopen: str = Field(default="Riapri", description="Work on it again.")
    merge: str = Field(default="Unisci", description="Merge it into another.")
    split: str = Field(default="Separa", description="Make a Ticket of a Message.")
    cancel: str = Field(default="Annulla", description="Cancel it (spam, double).")
    follow: str = Field(default="Segui", description="Follow it.")


class PublishedTargets(DeskPart):
    """The table of promised times as it is published; the counted ones are in `targets`."""

    intro: str = Field(default="", description="Sentence above the table.")
    heading: str = Field(description="Header of the first column.")
    columns: tuple[str, ...] = Field(min_length=1, description="Headers of the other columns.")
    rows: Mapping[str, tuple[str, ...]] = Field(description="Cells by stored severity.")
