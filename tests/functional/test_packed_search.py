"""The nearest codes: distances by hand, the order of ties, and any cut into blocks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_hash.codes.indexes import PackedIndex, make_index
from lightning_hash.functional import packed_search
from lightning_hash.functional.packed_search import PackedSearch
from tests.reference.search import nearest


def codes(count, bits, seed, close=False):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(0, 2, (count, bits), generator=generator, dtype=torch.int8) * 2 - 1
    if close:  # many ties
        found[:, 2:] = 1
    return found


def check(search, query, database, top):
    distance, row = search(query, top)
    assert (distance.dtype, row.dtype) == (torch.int64, torch.int64)
    found = [list(zip(*pair, strict=True)) for pair in zip(distance.tolist(), row.tolist(),
                                                           strict=True)]  # fmt: skip
    assert found == nearest(query.tolist(), database.tolist(), top)


def test_by_hand():
    database = torch.tensor([[1, 1, 1], [-1, -1, 1], [1, 1, -1], [1, -1, 1], [1, 1, 1]])
    search = PackedSearch(database)
    distance, row = search.nearest(torch.tensor([[1, 1, 1], [-1, 1, -1]]), 3)
    assert distance.tolist() == [[0, 0, 1], [1, 2, 2]]
    assert row.tolist() == [[0, 4, 2], [2, 0, 1]]  # of 0, 1 and 4 at distance 2 the first two
    assert search.nearest(database[:1], 9)[1].tolist() == [[0, 4, 2, 3, 1]]
    assert search.nearest(database[:0], 2)[0].shape == (0, 2)


@pytest.mark.parametrize("bits", [3, 32, 33, 64, 65, 256, 300])
@pytest.mark.parametrize("top", [1, 4, 60])
def test_any_width_as_a_loop_finds_it(bits, top):
    database = codes(50, bits, 0)
    check(PackedSearch(database).nearest, codes(3, bits, 1), database, top)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40), top=st.integers(1, 12), block=st.integers(1, 9),
    more=st.integers(0, 6), seed=st.integers(0, 99),
)  # fmt: skip
def test_no_cut_into_blocks_changes_the_answer(count, top, block, more, seed):
    database = codes(count, 6, seed, close=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_search, "BLOCK", block)
        patch.setattr(packed_search, "MORE", more)
        patch.setattr(packed_search, "SLACK", 1)
        check(PackedSearch(database).nearest, codes(2, 6, seed + 1), database, top)


@pytest.mark.parametrize("bits", [3, 8, 12, 64, 100])
@pytest.mark.parametrize("top", [1, 7, 99])
def test_faiss_gives_the_same_items_in_the_same_order(bits, top):
    pytest.importorskip("faiss", reason="pip install '.[faiss]'")
    database = codes(80, bits, 2, close=True)
    assert make_index(database).name == "faiss IndexBinaryFlat"
    for kind in ("faiss", "packed"):
        check(make_index(database, kind).nearest, codes(4, bits, 3), database, top)


def test_without_faiss_the_search_is_ours(monkeypatch):
    monkeypatch.setattr("lightning_hash.codes.indexes.find_spec", lambda name: None)
    assert isinstance(make_index(codes(3, 8, 0)), PackedIndex)
    with pytest.raises(ModuleNotFoundError, match=r"--index packed, .*pip install 'lightning-hash"):
        make_index(codes(3, 8, 0), "faiss")


@pytest.mark.parametrize("kind", ["packed", "faiss"])
def test_what_is_refused(kind):
    if kind == "faiss":
        pytest.importorskip("faiss", reason="pip install '.[faiss]'")
    with pytest.raises(ValueError, match="must be -1 or \\+1, got 0"):
        make_index(codes(3, 8, 0) * 0, kind)
    index = make_index(codes(3, 8, 0), kind)
    with pytest.raises(ValueError, match="query_codes have 4 bits, database_codes 8"):
        index.nearest(codes(3, 4, 0), 1)
    with pytest.raises(ValueError, match="top_k must be a positive whole number, got 0"):
        index.nearest(codes(3, 8, 0), 0)
    with pytest.raises(ValueError, match="'auto', 'faiss', 'packed', got 'annoy'"):
        make_index(codes(3, 8, 0), "annoy")
    with pytest.raises(ValueError, match="database_codes must hold at least one code, got none"):
        make_index(codes(0, 8, 0), kind)
