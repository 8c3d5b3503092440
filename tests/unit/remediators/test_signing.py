"""Signatures that the published library verifies, and that no flipped bit survives."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from actions.remediators import base, registry, signing
from vigil.kernel import clock

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD = "an-older-secret-of-more-than-32-bytes"
AT = datetime(2026, 3, 1, tzinfo=UTC)
BODY = b'{"status": "success"}'


def signed(*, secret: str = SECRET, at: datetime = AT, body: bytes = BODY) -> dict[str, str]:
    return signing.headers(secret=secret, message_id="uid-1-1", at=at, body=body)


def test_the_published_library_accepts_our_signature() -> None:
    headers = signed(at=clock.now())
    assert standardwebhooks.Webhook(SECRET).verify(BODY, headers) == {"status": "success"}


def test_a_plain_secret_is_the_key_itself() -> None:
    headers = signed(secret=OLD, at=clock.now())
    standardwebhooks.Webhook(OLD.encode()).verify(BODY, headers)


def test_a_new_secret_has_256_bits_and_signs() -> None:
    secret = signing.new_secret()
    assert len(signing.keys(secret)[0]) == 32
    assert signing.new_secret() != secret


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed(secret="") == {}


def test_while_one_secret_replaces_another_both_verify() -> None:
    headers = signed(secret=f"{SECRET} {OLD}")
    assert len(headers["webhook-signature"].split()) == 2
    for one in (SECRET, OLD):
        assert signing.refusal(secret=one, headers=headers, body=BODY, at=AT) == ""


@given(place=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "body"]), data=st.data())
def test_one_flipped_bit_anywhere_is_refused(place: str, data: st.DataObject) -> None:
    headers, body = signed(), BODY
    text = bytearray(body if place == "body" else headers[place].encode())
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] ^= 1 << data.draw(st.integers(0, 6))
    if place == "body":
        body = bytes(text)
    else:
        headers[place] = text.decode()
    assert signing.refusal(secret=SECRET, headers=headers, body=body, at=AT)


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
def test_a_signature_is_good_for_five_minutes(seconds: int) -> None:
    headers = signed(at=AT + timedelta(seconds=seconds))
    assert "300 s" in signing.refusal(secret=SECRET, headers=headers, body=BODY, at=AT)


@pytest.mark.parametrize("stamp", ["", "-1", "NaN", "1e3", "²", "9" * 400])
def test_a_timestamp_that_is_no_number_is_refused(stamp: str) -> None:
    headers = {**signed(), "webhook-timestamp": stamp}
    assert signing.refusal(secret=SECRET, headers=headers, body=BODY, at=AT)


def test_missing_headers_are_named() -> None:
    assert "webhook-id" in signing.refusal(secret=SECRET, headers={}, body=BODY, at=AT)


@pytest.mark.parametrize("weak", ["short", "whsec_c2hvcnQ=", "whsec_not base64!", "whsec_"])
def test_a_weak_secret_is_refused_when_it_is_saved(weak: str) -> None:
    with pytest.raises(base.ConfigurationError) as refused:
        registry.build(kind="http", config={"url": "http://localhost"}, secret=weak)
    assert refused.value.errors[0].path == "secret"
    assert weak not in refused.value.detail


def test_secrets_do_not_show_in_a_remediators_repr() -> None:
    assert SECRET not in repr(registry.build(kind="http", config={"url": "http://localhost"}, secret=SECRET))
