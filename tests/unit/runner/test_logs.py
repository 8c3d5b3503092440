from pathlib import Path

from vigil.runner import logs


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("short")
    assert not logs.rotate(log, largest_bytes=10)
    assert log.read_text() == "short"


def test_a_log_that_is_not_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    assert not logs.rotate(tmp_path / "web.log")


def test_a_large_log_moves_on_and_the_oldest_copy_goes(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for text in ("first " * 9, "second " * 9, "third " * 9, "fourth " * 9):
        log.write_text(text)
        assert logs.rotate(log, largest_bytes=10, kept=3)
    kept = {path.name: path.read_text().split()[0] for path in tmp_path.iterdir() if path.stat().st_size}
    assert kept == {"web.log.1": "fourth", "web.log.2": "third", "web.log.3": "second"}


def test_a_child_that_has_the_log_open_goes_on_in_it(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with logs.open_for_child(log) as child:
        child.write(b"before " * 10)
        assert logs.rotate(log, largest_bytes=10)
        child.write(b"after")
    assert log.read_bytes() == b"after"


def test_the_last_lines_are_for_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert logs.tail(log, lines=2) == ["line 9998", "line 9999"]
    assert logs.tail(tmp_path / "none.log") == []
