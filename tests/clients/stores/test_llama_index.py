"""LlamaIndex's vector store, whose package comes without tests: what an application does with it."""

import os

import pytest
import sqlalchemy
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    ExactMatchFilter,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.vector_stores.postgres import PGVectorStore

HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40}
TEXTS = {
    "north": ([0, 1, 0], {"side": "upper", "page": 1}),
    "north-east": ([0.8, 0.8, 0], {"side": "upper", "page": 2}),
    "east": ([1, 0, 0], {"side": "right", "page": 3}),
    "zenith": ([0, 0, 1], {"side": "none", "page": 4}),
}
STORES = {
    "plain": {},
    "jsonb": {"use_jsonb": True},
    "hnsw": {"hnsw_kwargs": {**HNSW, "hnsw_dist_method": "vector_cosine_ops"}},
    "hnsw-l2": {"hnsw_kwargs": {**HNSW, "hnsw_dist_method": "vector_l2_ops"}},
    "halfvec": {"use_halfvec": True},
    "halfvec-hnsw": {
        "use_halfvec": True,
        "hnsw_kwargs": {**HNSW, "hnsw_dist_method": "halfvec_cosine_ops"},
    },
    "hybrid": {"hybrid_search": True},
}


def url(driver: str) -> str:
    return sqlalchemy.make_url(os.environ["DATABASE_URL"]).set(drivername=driver).render_as_string(False)


@pytest.fixture(params=STORES)
def store(request):
    options = {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in STORES[request.param].items()
    }
    store = PGVectorStore(
        connection_string=url("postgresql+psycopg2"),
        async_connection_string=url("postgresql+asyncpg"),
        schema_name="public",
        table_name=request.node.name.replace("[", "_").replace("]", "").replace("-", "_"),
        embed_dim=3,
        initialization_fail_on_error=True,
        **options,
    )
    yield store
    store._session.close_all()
    store._engine.dispose()


def nodes() -> list[TextNode]:
    return [
        TextNode(
            id_=text,
            text=text,
            embedding=embedding,
            metadata=metadata,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{text}")},
        )
        for text, (embedding, metadata) in TEXTS.items()
    ]


def query(embedding: list[float] = (0.1, 1, 0), top: int = 3, **kwargs) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=list(embedding), similarity_top_k=top, **kwargs)


def test_nearest_first(store) -> None:
    assert store.add(nodes()) == list(TEXTS)
    result = store.query(query())
    assert result.ids == ["north", "north-east", "east"]
    # One minus the cosine distance; halfvec has eleven bits.
    assert result.similarities == pytest.approx([0.995037, 0.773957, 0.0995037], abs=1e-3)


@pytest.mark.asyncio
async def test_asynchronous(store) -> None:
    await store.async_add(nodes())
    result = await store.aquery(query(top=2))
    assert result.ids == ["north", "north-east"]
    await store.close()


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (ExactMatchFilter(key="side", value="upper"), ["north", "north-east"]),
        (MetadataFilter(key="page", operator=FilterOperator.GT, value=2), ["east", "zenith"]),
        (MetadataFilter(key="side", operator=FilterOperator.IN, value=["right", "none"]), ["east", "zenith"]),
    ],
    ids=["equal", "greater", "in"],
)
def test_filters(store, filter, found) -> None:
    store.add(nodes())
    assert store.query(query(top=4, filters=MetadataFilters(filters=[filter]))).ids == found


def test_delete(store) -> None:
    store.add(nodes())
    store.delete("document-north")
    assert store.query(query()).ids == ["north-east", "east", "zenith"]
    store.delete_nodes(["east"])
    assert store.query(query()).ids == ["north-east", "zenith"]
    store.clear()
    assert store.query(query()).ids == []


@pytest.mark.parametrize("store", ["hybrid"], indirect=True)
def test_hybrid(store) -> None:
    store.add(nodes())
    result = store.query(query(top=1, query_str="zenith", mode=VectorStoreQueryMode.HYBRID, sparse_top_k=1))
    assert set(result.ids) == {"north", "zenith"}
