"""Read buffers: one that is still looked at is never written into."""

from __future__ import annotations

from gateway.proxy.reading import LARGE_BYTES, Buffers, LargeReads


class Keeper:
    """A connection that keeps views, or declines and gets copies."""

    def __init__(self, *, declines: bool = False, keeps: bool = True) -> None:
        self.declines = declines
        self.keeps = keeps
        self.kept: list[memoryview] = []
        self.copies: list[bytes] = []

    def read_in_place(self, buffer: bytearray, size: int) -> bool:
        """Keep a view of the whole message."""
        if self.declines:
            return False
        if self.keeps:
            self.kept.append(memoryview(buffer)[:size])
        return True

    def data_received(self, data: bytes) -> None:
        """Keep the copy."""
        self.copies.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to lose."""

    def eof_received(self) -> bool | None:
        """Nothing to end."""
        return None

    def pause_writing(self) -> None:
        """Nothing to pause."""

    def resume_writing(self) -> None:
        """Nothing to resume."""


def arrives(reads: LargeReads, fill: int, size: int = LARGE_BYTES) -> None:
    """Do what a transport does: write into the buffer it is given, then say how much."""
    buffer = reads.get_buffer(65_536)
    buffer[:size] = bytes([fill]) * size
    reads.buffer_updated(size)


def test_a_kept_message_is_never_overwritten() -> None:
    """Sixty messages, two of three let go in between: each one kept still reads as it was sent."""
    keeper = Keeper()
    reads = LargeReads(keeper, Buffers(lambda: True))
    expected: list[int] = []
    for number in range(60):
        arrives(reads, number)
        expected.append(number)
        if number % 3:
            at = number % len(expected)
            del keeper.kept[at], expected[at]
    assert [set(view) for view in keeper.kept] == [{number} for number in expected]
    assert len(expected) == 20


def test_beyond_the_last_buffer_messages_are_copied() -> None:
    """With every buffer kept, the next message comes as bytes of its own, whole and unharmed."""
    keeper = Keeper()
    reads = LargeReads(keeper, Buffers(lambda: True))
    for number in range(80):
        arrives(reads, number)
    assert 0 < len(keeper.copies) < 80
    assert [set(copy) for copy in keeper.copies] == [{n} for n in range(len(keeper.kept), 80)]
    assert [set(view) for view in keeper.kept] == [{n} for n in range(len(keeper.kept))]
    keeper.kept.clear()
    arrives(reads, 7)
    assert len(keeper.kept) == 1


def test_a_buffer_nobody_kept_is_read_into_again() -> None:
    """The next message comes in the same memory, which is still in the processor's cache."""
    keeper = Keeper(keeps=False)
    buffers = Buffers(lambda: True)
    reads = LargeReads(keeper, buffers)
    first = buffers.current
    for number in range(10):
        arrives(reads, number)
        assert buffers.current is first


def test_what_is_small_declined_or_not_to_be_lent_is_copied() -> None:
    """Three reasons for bytes of its own, one message each."""
    lend = [True]
    keeper = Keeper(declines=True)
    reads = LargeReads(keeper, Buffers(lambda: lend[0]))
    arrives(reads, 1, size=100)
    arrives(reads, 2)
    lend[0] = keeper.declines = False
    arrives(reads, 3)
    assert [(copy[0], len(copy)) for copy in keeper.copies] == [
        (1, 100),
        (2, LARGE_BYTES),
        (3, LARGE_BYTES),
    ]
    assert keeper.kept == []
