"""The foundation: desks, people, conversations, tickets, mail, outbox, sign-in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.changes import CHANNEL

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create every table, and on PostgreSQL the triggers that wake listening processes."""
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _triggers()


def _tables() -> None:
    op.create_table(
        "content",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name="pk_content"),
    )
    op.create_table(
        "desk",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("next_number", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_desk"),
        sa.UniqueConstraint("code", name="uq_desk_code"),
    )
    op.create_table(
        "login_failure",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=320), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_failure"),
    )
    op.create_index("ix_login_failure_name", "login_failure", ["name", "at"], unique=False)
    op.create_index("ix_login_failure_peer", "login_failure", ["peer", "at"], unique=False)
    op.create_table(
        "operator",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("disabled_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operator"),
        sa.UniqueConstraint("email", name="uq_operator_email"),
    )
    op.create_table(
        "organisation",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("areas", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organisation"),
        sa.UniqueConstraint("name", name="uq_organisation_name"),
    )
    op.create_table(
        "outbox_entry",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("claim", sa.String(length=40), nullable=True),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("dedupe_key", sa.String(length=200), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_entry"),
        sa.UniqueConstraint("dedupe_key", name="uq_outbox_entry_dedupe_key"),
    )
    op.create_index(
        "ix_outbox_entry_again",
        "outbox_entry",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting' AND attempts > 0"),
        postgresql_where=sa.text("state = 'waiting' AND attempts > 0"),
    )
    op.create_index(
        "ix_outbox_entry_due",
        "outbox_entry",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting' AND attempts = 0"),
        postgresql_where=sa.text("state = 'waiting' AND attempts = 0"),
    )
    op.create_table(
        "requester",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("anonymised_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_requester"),
    )
    op.create_table(
        "desk_membership",
        sa.Column("operator_id", BIG, nullable=False),
        sa.Column("desk_id", BIG, nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("level", BIG, nullable=False),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_desk_membership_desk_id_desk"),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.id"], name="fk_desk_membership_operator_id_operator"
        ),
        sa.PrimaryKeyConstraint("operator_id", "desk_id", name="pk_desk_membership"),
    )
    op.create_table(
        "identity",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("requester_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_identity_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
        sa.UniqueConstraint("kind", "address", name="uq_identity_kind_address"),
    )
    op.create_index("ix_identity_requester_id", "identity", ["requester_id"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("operator_id", BIG, nullable=True),
        sa.Column("requester_id", BIG, nullable=True),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.id"], name="fk_login_session_operator_id_operator"
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_login_session_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_login_session"),
    )
    op.create_index("ix_login_session_operator_id", "login_session", ["operator_id"], unique=False)
    op.create_index(
        "ix_login_session_requester_id", "login_session", ["requester_id"], unique=False
    )
    op.create_table(
        "membership",
        sa.Column("requester_id", BIG, nullable=False),
        sa.Column("organisation_id", BIG, nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name="fk_membership_organisation_id_organisation",
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_membership_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("requester_id", "organisation_id", name="pk_membership"),
    )
    op.create_table(
        "office",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("organisation_id", BIG, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name="fk_office_organisation_id_organisation"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_office"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_office_organisation_id_name"),
    )
    op.create_table(
        "conversation",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("desk_id", BIG, nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("requester_id", BIG, nullable=False),
        sa.Column("organisation_id", BIG, nullable=True),
        sa.Column("office_id", BIG, nullable=True),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("visitor_key", sa.String(length=64), nullable=True),
        sa.Column("last_seq", BIG, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_conversation_desk_id_desk"),
        sa.ForeignKeyConstraint(
            ["office_id"], ["office.id"], name="fk_conversation_office_id_office"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name="fk_conversation_organisation_id_organisation",
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_conversation_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_conversation"),
        sa.UniqueConstraint("visitor_key", name="uq_conversation_visitor_key"),
    )
    op.create_index(
        "ix_conversation_organisation_id", "conversation", ["organisation_id"], unique=False
    )
    op.create_index("ix_conversation_requester_id", "conversation", ["requester_id"], unique=False)
    op.create_table(
        "mail_ref",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=998), nullable=False),
        sa.Column("conversation_id", BIG, nullable=False),
        sa.Column("received", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_mail_ref_conversation_id_conversation",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mail_ref"),
        sa.UniqueConstraint(
            "message_id", "conversation_id", name="uq_mail_ref_message_id_conversation_id"
        ),
    )
    op.create_index("ix_mail_ref_conversation_id", "mail_ref", ["conversation_id"], unique=False)
    op.create_table(
        "participant",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("conversation_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("requester_id", BIG, nullable=True),
        sa.Column("operator_id", BIG, nullable=True),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_participant_conversation_id_conversation",
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.id"], name="fk_participant_operator_id_operator"
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_participant_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_participant"),
        sa.UniqueConstraint(
            "conversation_id", "kind", "address", name="uq_participant_conversation_id_kind_address"
        ),
    )
    op.create_index("ix_participant_operator", "participant", ["operator_id"], unique=False)
    op.create_index("ix_participant_requester", "participant", ["requester_id"], unique=False)
    op.create_table(
        "raw_mail",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("desk_id", BIG, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("envelope_from", sa.String(length=320), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("repeats", BIG, nullable=False),
        sa.Column("disposition", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("from_address", sa.String(length=320), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message_id", sa.String(length=998), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=True),
        sa.Column("auto_reason", sa.String(length=40), nullable=True),
        sa.Column("conversation_id", BIG, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_raw_mail_conversation_id_conversation",
        ),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_raw_mail_desk_id_desk"),
        sa.PrimaryKeyConstraint("id", name="pk_raw_mail"),
        sa.UniqueConstraint("fingerprint", "recipient", name="uq_raw_mail_fingerprint_recipient"),
    )
    op.create_index("ix_raw_mail_conversation", "raw_mail", ["conversation_id"], unique=False)
    op.create_index("ix_raw_mail_disposition", "raw_mail", ["disposition", "id"], unique=False)
    op.create_index(
        "uq_raw_mail_accepted",
        "raw_mail",
        ["desk_id", "message_id", "body_hash"],
        unique=True,
        sqlite_where=sa.text("disposition = 'accepted'"),
        postgresql_where=sa.text("disposition = 'accepted'"),
    )
    op.create_table(
        "read_mark",
        sa.Column("conversation_id", BIG, nullable=False),
        sa.Column("reader", sa.String(length=40), nullable=False),
        sa.Column("last_seq", BIG, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_read_mark_conversation_id_conversation",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "reader", name="pk_read_mark"),
    )
    op.create_table(
        "ticket",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("desk_id", BIG, nullable=False),
        sa.Column("conversation_id", BIG, nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=32), nullable=True),
        sa.Column("priority", sa.String(length=64), nullable=True),
        sa.Column("contact_email", sa.String(length=320), nullable=True),
        sa.Column("assignee_id", BIG, nullable=True),
        sa.Column("level", BIG, nullable=False),
        sa.Column("solution", sa.Text(), nullable=True),
        sa.Column("follow_up_of_id", BIG, nullable=True),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["assignee_id"], ["operator.id"], name="fk_ticket_assignee_id_operator"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name="fk_ticket_conversation_id_conversation"
        ),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_ticket_desk_id_desk"),
        sa.ForeignKeyConstraint(
            ["follow_up_of_id"], ["ticket.id"], name="fk_ticket_follow_up_of_id_ticket"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
        sa.UniqueConstraint("conversation_id", name="uq_ticket_conversation_id"),
        sa.UniqueConstraint("desk_id", "number", name="uq_ticket_desk_id_number"),
    )
    op.create_index(
        "ix_ticket_assignee", "ticket", ["assignee_id", "status", "updated_at"], unique=False
    )
    op.create_index("ix_ticket_follow_up", "ticket", ["follow_up_of_id"], unique=False)
    op.create_index("ix_ticket_queue", "ticket", ["desk_id", "status", "updated_at"], unique=False)
    op.create_index("ix_ticket_updated", "ticket", ["updated_at", "id"], unique=False)
    op.create_table(
        "timeline_entry",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("desk_id", BIG, nullable=True),
        sa.Column("conversation_id", BIG, nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("from_value", sa.String(length=200), nullable=True),
        sa.Column("to_value", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_timeline_entry_conversation_id_conversation",
        ),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_timeline_entry_desk_id_desk"),
        sa.PrimaryKeyConstraint("id", name="pk_timeline_entry"),
    )
    op.create_index(
        "ix_timeline_entry_conversation", "timeline_entry", ["conversation_id", "id"], unique=False
    )
    op.create_table(
        "message",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("conversation_id", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("author_kind", sa.String(length=32), nullable=False),
        sa.Column("requester_id", BIG, nullable=True),
        sa.Column("operator_id", BIG, nullable=True),
        sa.Column("author_name", sa.String(length=200), nullable=False),
        sa.Column("visibility", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=True),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("full_text", sa.Text(), nullable=True),
        sa.Column("body_html_clean", sa.Text(), nullable=True),
        sa.Column("raw_mail_id", BIG, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("visibility IN ('public', 'internal')", name="visibility"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name="fk_message_conversation_id_conversation"
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.id"], name="fk_message_operator_id_operator"
        ),
        sa.ForeignKeyConstraint(
            ["raw_mail_id"], ["raw_mail.id"], name="fk_message_raw_mail_id_raw_mail"
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["requester.id"], name="fk_message_requester_id_requester"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
        sa.UniqueConstraint(
            "conversation_id",
            "channel",
            "external_id",
            name="uq_message_conversation_id_channel_external_id",
        ),
        sa.UniqueConstraint("conversation_id", "seq", name="uq_message_conversation_id_seq"),
    )
    op.create_table(
        "attachment",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("message_id", BIG, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("content_type", sa.String(length=200), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("content_id", sa.String(length=250), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name="fk_attachment_message_id_message"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attachment"),
    )
    op.create_index("ix_attachment_message_id", "attachment", ["message_id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("desk_id", BIG, nullable=False),
        sa.Column("conversation_id", BIG, nullable=True),
        sa.Column("message_id", BIG, nullable=True),
        sa.Column("event", sa.String(length=40), nullable=True),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("reply_to", sa.String(length=320), nullable=False),
        sa.Column("mail_id", sa.String(length=250), nullable=False),
        sa.Column("in_reply_to", sa.String(length=998), nullable=True),
        sa.Column("references", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=True),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_delivery_conversation_id_conversation",
        ),
        sa.ForeignKeyConstraint(["desk_id"], ["desk.id"], name="fk_delivery_desk_id_desk"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name="fk_delivery_message_id_message"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
    )
    op.create_index("ix_delivery_conversation_id", "delivery", ["conversation_id"], unique=False)
    op.create_index("ix_delivery_message_id", "delivery", ["message_id"], unique=False)
    op.create_index("ix_delivery_recipient", "delivery", ["recipient", "created_at"], unique=False)
    # ### end Alembic commands ###


def _triggers() -> None:
    # Identical notifications of one transaction are sent once, at its commit.
    op.execute(
        f"""
        CREATE FUNCTION sportello_timeline_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('{CHANNEL}', COALESCE(NEW.conversation_id::text, ''));
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION sportello_outbox_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('{CHANNEL}', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER timeline_changed AFTER INSERT ON timeline_entry"
        " FOR EACH ROW EXECUTE FUNCTION sportello_timeline_changed()"
    )
    op.execute(
        "CREATE TRIGGER outbox_changed AFTER INSERT ON outbox_entry"
        " FOR EACH STATEMENT EXECUTE FUNCTION sportello_outbox_changed()"
    )
