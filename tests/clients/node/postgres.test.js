import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pgvector, { SparseVector } from 'pgvector';
import postgres from 'postgres';
import { assertIndexScan, assertItems, bitOrders, bitQuery, createTable, ids, items, orders, query, url } from './database.js';

const sql = postgres(url, { onnotice: () => {} });

before(async () => {
  await sql`CREATE EXTENSION IF NOT EXISTS vector`;
  await sql.unsafe(createTable);
  const rows = items.map(({ embedding, half, sparse, ...row }) => ({
    ...row,
    embedding: pgvector.toSql(embedding),
    half: pgvector.toSql(half),
    sparse: pgvector.toSql(sparse),
  }));
  await sql`INSERT INTO items ${sql(rows)}`;
});

after(() => sql.end());

test('values', async () => {
  const rows = await sql`SELECT * FROM items ORDER BY id`;
  assertItems(
    rows.map(({ embedding, half, sparse, ...row }) => ({
      ...row,
      embedding: pgvector.fromSql(embedding),
      half: pgvector.fromSql(half),
      sparse: pgvector.fromSql(sparse),
    })),
  );
});

test('orders', async () => {
  const value = pgvector.toSql(query);
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY embedding <-> ${value}`), orders.l2Distance);
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY embedding <#> ${value}`), orders.maxInnerProduct);
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY half <=> ${value}`), orders.cosineDistance);
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY half <+> ${value}`), orders.l1Distance);
  const sparse = pgvector.toSql(new SparseVector(query));
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY sparse <-> ${sparse}`), orders.l2Distance);
  assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY bits <~> ${bitQuery}`), bitOrders.hammingDistance);
});

test('index', async () => {
  await sql`CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)`;
  await sql`CREATE INDEX ON items USING ivfflat (embedding vector_cosine_ops) WITH (lists = 1)`;
  await sql.begin(async (sql) => {
    await sql`SET LOCAL enable_seqscan = off`;
    const value = pgvector.toSql([1, 1, 2]);
    assertIndexScan(await sql`EXPLAIN SELECT id FROM items ORDER BY embedding <-> ${value} LIMIT 1`);
    assert.deepEqual(ids(await sql`SELECT id FROM items ORDER BY embedding <-> ${value} LIMIT 2`), [3, 1]);
    assertIndexScan(await sql`EXPLAIN SELECT id FROM items ORDER BY embedding <=> ${value} LIMIT 1`);
  });
});

test('COPY', async () => {
  const copy = await sql`COPY items FROM STDIN`.writable();
  copy.end('5\t[5,5,5]\t[5,5,5]\t010\t{1:5}/3\n');
  await new Promise((resolve, reject) => copy.on('finish', resolve).on('error', reject));
  const [row] = await sql`DELETE FROM items WHERE id = 5 RETURNING *`;
  assert.deepEqual({ ...row }, { id: 5, embedding: '[5,5,5]', half: '[5,5,5]', bits: '010', sparse: '{1:5}/3' });
});
