"""Patience is whoever's at work; silence is the process's, and ends by itself."""

import threading
import time

import pytest

from vigil.kernel import patience
from vigil.kernel.patience import Silence


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "ASK_AGAIN_AFTER", 0.01)


def test_nobody_has_a_limit_by_default() -> None:
    assert patience.left() is None


def test_it_runs_out_and_never_below_zero() -> None:
    with patience.within(0.02):
        assert 0 < (patience.left() or 0) <= 0.02
        time.sleep(0.03)
        assert patience.left() == 0.0
    assert patience.left() is None


def test_an_earlier_limit_stays_in_force() -> None:
    with patience.within(1), patience.within(60):
        assert (patience.left() or 60) <= 1


def test_another_thread_has_its_own() -> None:
    seen: list[float | None] = []
    with patience.within(1):
        thread = threading.Thread(target=lambda: seen.append(patience.left()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_silence_lasts_until_there_is_an_answer() -> None:
    silence, answers = Silence(), iter([False, False, True])
    asked = threading.Event()

    def ask() -> bool:
        asked.wait(5)
        return next(answers)

    silence.fell(ask)
    assert silence.holds
    asked.set()
    _until_it_ends(silence)
    assert list(answers) == []


def test_there_is_none_at_first() -> None:
    assert not Silence().holds


def test_one_asks_for_all() -> None:
    silence, go = Silence(), threading.Event()
    askers: set[int] = set()

    def ask() -> bool:
        askers.add(threading.get_ident())
        return go.wait(5)

    for _ in range(5):
        silence.fell(ask)
    go.set()
    _until_it_ends(silence)
    assert len(askers) == 1


def test_one_who_fails_to_ask_does_not_make_it_last() -> None:
    silence = Silence()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)
        silence.fell(lambda: bool(1 // 0))
        _until_it_ends(silence)


def test_it_may_fall_again() -> None:
    silence = Silence()
    for _ in range(2):
        silence.fell(lambda: True)
        _until_it_ends(silence)


def _until_it_ends(silence: Silence) -> None:
    until = time.monotonic() + 5
    while silence.holds:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_there_is_time_for_everything_outside_a_request() -> None:
    allowance = patience.Allowance()
    assert [allowance() for _ in range(3)] == [True] * 3
    assert not allowance.exhausted


def test_a_long_work_is_left_off_before_the_patience_is_over() -> None:
    allowance = patience.Allowance()
    with patience.within(patience.SPARE_SECONDS / 2):
        assert not allowance()
    assert not allowance()
    assert allowance.exhausted


def test_who_comes_after_somebody_waited_in_vain_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    strain = patience.Strain()
    monkeypatch.setattr(strain, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(strain, "LASTS_SECONDS", 0.05)
    with pytest.raises(TimeoutError), strain.watched(TimeoutError):
        raise TimeoutError
    assert strain.holds
    time.sleep(0.06)
    assert not strain.holds


def test_a_quick_refusal_strains_nobody() -> None:
    strain = patience.Strain()
    with pytest.raises(TimeoutError), strain.watched(TimeoutError):
        raise TimeoutError
    assert not strain.holds


def test_an_answer_ends_the_strain(monkeypatch: pytest.MonkeyPatch) -> None:
    strain = patience.Strain()
    monkeypatch.setattr(strain, "LONG_SECONDS", 0.0)
    with pytest.raises(TimeoutError), strain.watched(TimeoutError):
        raise TimeoutError
    with strain.watched(TimeoutError):
        pass
    assert not strain.holds


def test_a_newcomer_knows_how_long_the_first_of_those_who_wait_has_waited() -> None:
    strain = patience.Strain()
    assert strain.longest() == 0.0
    with strain.watched(TimeoutError):
        time.sleep(0.02)
        assert strain.longest() >= 0.02
    assert strain.longest() == 0.0
