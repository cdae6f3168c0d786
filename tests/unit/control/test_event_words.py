"""Events in Japanese: every kind that is told in English alone, with its figures in it."""

from __future__ import annotations

import pytest

from gateway.control.records import event

DIED = "The figures of new cannot be read (timeout); they grow stale."


@pytest.mark.parametrize(
    ("kind", "text", "data", "japanese"),
    [
        (
            "breaker.changed",
            "Replica a, worker 2's circuit breaker for new is half_open.",
            {"worker": 2, "variant": "new", "state": "half_open"},
            "new に対する遮断器が「半開」になりました(Replica a, worker 2)。",
        ),
        (
            "user.report",
            "A user reported a serious problem: {x}: <b>gone</b>",
            {"severity": "serious"},
            "ユーザーから問題の報告(重大): {x}: <b>gone</b>",
        ),
        (
            "source.unreadable",
            DIED,
            {"system": "new"},
            f"計測値を読み取れず、値が古くなっていきます({DIED[:-1]})。",
        ),
        (
            "mirror.proven",
            "New proved that its dry runs store nothing (rollback): writes are mirrored.",
            {},
            (
                "新システムのドライランが何も保存しないことを確認しました(rollback)。"
                "書き込みをミラーします。"
            ),
        ),
        (
            "worker.died",
            "It died.",
            {},
            "ワーカー ? が停止したため、交代を起動しています(It died)。",
        ),
    ],
)
def test_a_kind_with_a_sentence_is_told_in_japanese(kind, text, data, japanese):
    """A cause that another program gave stands behind it; nothing is formatted twice."""
    told = event(kind, text, at_us=1, **data)
    assert (told.text, told.data) == (text, {**data, "text_ja": japanese})


def test_a_kind_without_one_is_told_as_it_is():
    """What no sentence is known for is better read in English than not at all."""
    assert event("of.tomorrow", "Something.", at_us=1, figure=3).data == {"figure": 3}
