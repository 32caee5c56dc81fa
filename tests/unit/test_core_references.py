"""Reply addresses, Message-IDs and subject references: what verifies, and what never does."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.references import (
    new_message_id,
    read_reply_token,
    reply_address,
    subject_references,
    token_conversation,
)

KEY, OLD = b"k" * 32, b"o" * 32
WHO = "giulia.bianchi@comune.prato.example"
INTAKE = "assistenza.rt@namirial.com"


def tag(conversation_id: int = 42, recipient: str = WHO, key: bytes = KEY) -> str:
    """Return the plus tag of a reply address."""
    made = reply_address(
        (key,), intake=INTAKE, conversation_id=conversation_id, recipient=recipient
    )
    return made.partition("+")[2].partition("@")[0]


def test_the_recipient_is_known_by_their_token() -> None:
    token = read_reply_token((KEY,), tag=tag(), senders=(WHO,), recipients=())
    assert token is not None
    assert (token.conversation_id, token.for_recipient) == (42, True)


def test_a_token_in_other_hands_is_valid_but_not_theirs() -> None:
    token = read_reply_token((KEY,), tag=tag(), senders=("x@y.example",), recipients=(WHO,))
    assert token is not None
    assert not token.for_recipient
    assert read_reply_token((KEY,), tag=tag(), senders=("x@y.example",), recipients=()) is None


@given(st.integers(0, 10**12), st.emails())
def test_every_token_leads_back_whatever_its_case(number: int, recipient: str) -> None:
    made = tag(number, recipient)
    for spelt in (made, made.upper()):
        token = read_reply_token((KEY,), tag=spelt, senders=(recipient.upper(),), recipients=())
        assert token is not None
        assert token.conversation_id == token_conversation(spelt) == number


@given(
    st.integers(0, len(tag()) - 1), st.sampled_from(string.digits + string.ascii_lowercase + ".")
)
def test_no_single_changed_letter_verifies(position: int, letter: str) -> None:
    made = tag()
    changed = made[:position] + letter + made[position + 1 :]
    token = read_reply_token((KEY,), tag=changed, senders=(WHO,), recipients=(WHO,))
    assert (token is not None) == (changed == made)


@given(st.text(max_size=60))
def test_no_other_text_verifies_or_raises(text: str) -> None:
    assert read_reply_token((KEY,), tag=text, senders=(WHO,), recipients=(WHO,)) is None
    assert token_conversation(text) is None or "." in text


@pytest.mark.parametrize("odd", [tag() + "\n", " " + tag(), tag() + "é", "1.1." + tag()[5:]])
def test_what_stands_around_a_token_spoils_it(odd: str) -> None:
    assert read_reply_token((KEY,), tag=odd, senders=(WHO,), recipients=()) is None


def test_an_older_key_still_verifies_and_a_dropped_one_does_not() -> None:
    old = tag(key=OLD)
    assert read_reply_token((KEY, OLD), tag=old, senders=(WHO,), recipients=()) is not None
    assert read_reply_token((KEY,), tag=old, senders=(WHO,), recipients=()) is None


def test_a_token_is_for_one_conversation_and_one_recipient() -> None:
    assert len({tag(1), tag(2), tag(1, "other@x.example"), tag(1, key=OLD)}) == 4


def test_a_reply_address_fits_into_a_local_part() -> None:
    made = reply_address(
        (KEY,), intake="a" * 30 + "@x.example", conversation_id=36**10 - 1, recipient=WHO
    )
    assert len(made.partition("@")[0]) <= 64


def test_each_message_id_is_new_and_of_the_domain() -> None:
    ids = {new_message_id("namirial.com") for _ in range(100)}
    assert len(ids) == 100
    assert all(one.startswith("<") and one.endswith("@namirial.com>") for one in ids)


@pytest.mark.parametrize(
    ("subject", "cited"),
    [
        ("Re: Accesso [rtpec #9631]", [("rtpec", 9631)]),
        ("RE: [INFOCAMERE-RMA #000314] x", [("infocamere-rma", 314)]),
        ("[condafne #1001] e [rtpec #9631]", [("condafne", 1001), ("rtpec", 9631)]),
        ("[rtpec #]", []),
        ("[rtpec 9631]", []),
        ("[-x #1]", []),
        ("[rtpec #1234567890123]", []),
        ("", []),
    ],
)
def test_subjects_are_read(subject: str, cited: list[tuple[str, int]]) -> None:
    assert subject_references(subject) == cited
