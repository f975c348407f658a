import pytest

from obspec_utils._text import count, seconds, size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5 MiB"),
        (3 << 50, "3072 TiB"),
    ],
)
def test_sizes(number: int | None, text: str) -> None:
    assert size(number) == text


def test_counts_and_durations() -> None:
    assert [count(None), count(1234567)] == ["-", "1,234,567"]
    assert [seconds(None), seconds(0.03), seconds(0.0004), seconds(12.345)] == ["-", "30 ms", "0.4 ms", "12.3 s"]
