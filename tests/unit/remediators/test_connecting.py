"""Before the first byte a failure is definite: nothing happened at the other end, and trying again is safe."""

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actions.remediators import addresses, base, registry, wire
from tests.unit.remediators import peers

GOOD = peers.answer(b'{"status": "success"}')


def called(url: str, *, seconds: float = 5.0, **config: object) -> tuple[base.Outcome, float]:
    began = time.monotonic()
    remediator = registry.build(kind="http", config={"url": url, **config})
    return remediator.call(peers.call(), deadline_monotonic=began + seconds), time.monotonic() - began


def certificate(directory: Path, *, name: str = "localhost", days: int = 1) -> tuple[ssl.SSLContext, str]:
    """A server's TLS context, and the file a client has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # noqa: TID251  a certificate is good or bad by the real clock
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = directory / "cert.pem"
    public.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = directory / "key.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)


def assert_nothing_was_sent(outcome: base.Outcome, error_class: str, *, retryable: bool = True) -> None:
    assert (outcome.kind, outcome.error_class, outcome.retryable) == ("failed", error_class, retryable), outcome
    assert not outcome.first_byte_sent
    assert outcome.http_status is None


def test_a_refused_connection_is_a_definite_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    outcome, _ = called(f"http://127.0.0.1:{port}")
    assert_nothing_was_sent(outcome, "refused")


def test_a_name_that_is_not_found_is_a_definite_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    outcome, _ = called("http://remediator.example")
    assert_nothing_was_sent(outcome, "dns")


def test_a_name_server_that_hangs_costs_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hangs(*_: object, **__: object) -> None:
        gate.wait(20)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    outcome, took = called("http://remediator.example")
    gate.set()
    assert_nothing_was_sent(outcome, "connect_timeout")
    assert took < base.CONNECT_SECONDS + 0.5


def test_a_host_that_swallows_packets_costs_three_seconds() -> None:
    # A listener whose queue is full drops what comes next: the nearest thing to a black hole on one machine.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for line in waiting:
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
        time.sleep(0.1)
        outcome, took = called(f"http://127.0.0.1:{port}")
        for line in waiting:
            line.close()
    assert_nothing_was_sent(outcome, "connect_timeout")
    assert base.CONNECT_SECONDS - 0.5 < took < base.CONNECT_SECONDS + 0.5


def test_tls_works_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    with peers.listening(lambda line: line.sendall(GOOD), tls=context) as peer:
        outcome, _ = called(f"https://localhost:{peer.port}", ca_file=trusted)
    assert outcome.kind == "succeeded", outcome


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "words"),
    [
        ("localhost", 1, False, "self-signed"),
        ("localhost", -1, True, "expired"),
        ("other.example", 1, True, "localhost"),
    ],
    ids=["not trusted", "expired", "of another name"],
)
def test_a_bad_certificate_stops_the_call_before_it_says_anything(
    name: str, days: int, is_trusted: bool, words: str, tmp_path: Path
) -> None:
    context, trusted = certificate(tmp_path, name=name, days=days)
    with peers.listening(lambda line: line.sendall(GOOD), tls=context) as peer:
        outcome, _ = called(f"https://localhost:{peer.port}", ca_file=trusted if is_trusted else "")
        assert peer.requests == []
    assert_nothing_was_sent(outcome, "tls")
    assert words in outcome.message


def test_a_handshake_that_drips_costs_three_seconds() -> None:
    def drip(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB, of which little ever comes
        while True:
            line.sendall(b"\x00")
            time.sleep(0.2)

    with peers.listening(drip, reads_request=False) as peer:
        outcome, took = called(f"https://localhost:{peer.port}", seconds=10)
    assert_nothing_was_sent(outcome, "connect_timeout")
    assert took < base.CONNECT_SECONDS + 0.5


def test_a_body_that_drips_over_tls_ends_in_time(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)

    def drip(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b'{"status": "success"}')
        while True:
            line.sendall(b" ")
            time.sleep(0.1)

    with peers.listening(drip, tls=context) as peer:
        outcome, took = called(f"https://localhost:{peer.port}", seconds=1, ca_file=trusted)
    assert (outcome.kind, outcome.error_class) == ("ambiguous", "timeout")
    assert took < 1.5


def test_the_whole_call_never_takes_longer_than_its_twelve_seconds() -> None:
    def drip(line: socket.socket) -> None:
        while True:
            line.sendall(b"H")
            time.sleep(0.5)

    with peers.listening(drip) as peer:
        outcome, took = called(peer.url, seconds=3600)
    assert (outcome.kind, outcome.error_class) == ("ambiguous", "timeout")
    assert base.CALL_SECONDS - 0.1 < took < base.CALL_SECONDS + 1


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with peers.listening(lambda line: line.sendall(GOOD)) as peer:
        outcome, took = called(peer.url, seconds=-1)
        assert peer.requests == []
    assert_nothing_was_sent(outcome, "connect_timeout")
    assert took < 0.5


@pytest.mark.parametrize(
    "answers",
    [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"], ["::ffff:169.254.169.254"], ["fd00:ec2::254"]],
    ids=str,
)
def test_a_name_that_leads_to_the_metadata_service_is_not_called(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[object] = []
    found = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in answers]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: dialled.append(address))
    outcome, _ = called("http://innocent.example")
    assert_nothing_was_sent(outcome, "address_refused", retryable=False)
    assert dialled == []


def test_the_checked_address_is_the_one_that_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    with peers.listening(lambda line: line.sendall(GOOD)) as peer:

        def flips(host: str, *_: object, **__: object) -> list[addresses.Found]:
            resolved.append(host)
            ip = "127.0.0.1" if len(resolved) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, peer.port))]

        monkeypatch.setattr(socket, "getaddrinfo", flips)
        outcome, _ = called(f"http://rebinding.example:{peer.port}")
        assert b"Host: rebinding.example" in peer.requests[0]
    assert outcome.kind == "succeeded"
    assert resolved == ["rebinding.example"]


@pytest.mark.parametrize(
    "text",
    [
        *("169.254.169.254", "169.254.0.1", "0.1.2.3", "224.0.0.1", "255.255.255.255", "100.100.100.200"),
        *(
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::a9fe:a9fe",
            "fe80::1",
            "fe80::1%eth0",
        ),
        *("fd00:ec2::254", "ff02::1", "::"),
    ],
)
def test_addresses_no_remediator_has_are_refused_in_every_disguise(text: str) -> None:
    assert addresses.refusal(text)


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.5", "fd12::1", "100.64.0.9", "1.1.1.1"])
def test_the_operators_own_networks_are_allowed(text: str) -> None:
    assert addresses.refusal(text) == ""


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://host/", "file:///etc/passwd", "//host/x", "host:9000", "", "http://", "http:///x", "gopher://host"),
        *(
            "http://user@host/",
            "http://user:pw@host/",
            "http://host\\@other/",
            "http://host#@other",
            "http://host/?a=b",
        ),
        *(
            "http://host:0/",
            "http://host:99999/",
            "http://host:x/",
            "http://ho st/",
            "http://host/\n",
            "http://①②⑦.0.0.1",
        ),
        *("http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0:9000"),
        *(
            "http://[::1/",
            "http://[zz]/",
            "javascript:alert(1)",
            "http://a@b@c/",
            "http://%31%32%37/",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
        ),
    ],
)
def test_urls_that_cannot_be_meant_are_refused_when_they_are_saved(url: str) -> None:
    with pytest.raises(base.ConfigurationError) as refused:
        registry.build(kind="http", config={"url": url})
    assert refused.value.errors[0].path == "url"
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000", "https://remediator.internal/heal/", "http://my_remediator:80", "http://[::1]:9000/x"],
)
def test_ordinary_urls_are_taken(url: str) -> None:
    assert registry.build(kind="http", config={"url": url}).kind == "http"


def test_a_process_that_slept_through_its_time_sends_nothing() -> None:
    """A machine that was suspended wakes up with every thread due at once: the watchdog may come second."""
    line = wire.Wire(connect_by=time.monotonic() - 1, deadline_monotonic=time.monotonic() + 10)
    with pytest.raises(wire.TimeIsUp):
        line.first_byte()
    assert line.first_byte_at is None


@pytest.mark.parametrize("left", [-1.0, 0.3])
def test_nothing_begins_after_the_call_says_so(left: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts nobody's handshake
        remediator = registry.build(kind="http", config={"url": f"https://localhost:{server.getsockname()[1]}/"})
        began = time.monotonic()
        outcome = remediator.call(peers.call(begin_by_monotonic=began + left), deadline_monotonic=began + 5)
    assert time.monotonic() - began < 2
    assert_nothing_was_sent(outcome, "connect_timeout")
