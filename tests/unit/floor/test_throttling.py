"""The limit per caller: exact, and kept apart for each."""

from concurrent.futures import ThreadPoolExecutor

from vigil.http.throttling import _Buckets


def test_a_burst_of_ten_seconds_passes_and_no_more() -> None:
    buckets = _Buckets()
    answers = [buckets.take("key:a", per_minute=600, at=0.0) for _ in range(101)]
    assert answers[:100] == [0.0] * 100
    assert answers[100] > 0


def test_waiting_refills_it() -> None:
    buckets = _Buckets()
    for _ in range(100):
        buckets.take("key:a", per_minute=600, at=0.0)
    wait = buckets.take("key:a", per_minute=600, at=0.0)
    assert buckets.take("key:a", per_minute=600, at=wait + 0.001) == 0.0


def test_one_caller_does_not_starve_another() -> None:
    buckets = _Buckets()
    for _ in range(200):
        buckets.take("key:a", per_minute=600, at=0.0)
    assert buckets.take("key:b", per_minute=600, at=0.0) == 0.0


def test_threads_share_one_exact_count() -> None:
    buckets = _Buckets()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: buckets.take("key:a", per_minute=600, at=0.0), range(400)))
    assert answers.count(0.0) == 100


def test_strangers_do_not_fill_the_memory() -> None:
    buckets = _Buckets()
    for number in range(10_050):
        buckets.take(f"10.0.0.{number}", per_minute=60, at=0.0)
    assert len(buckets._levels) == 10_000
