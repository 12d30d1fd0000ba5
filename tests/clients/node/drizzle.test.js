import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as drizzleOrm from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bit, halfvec, integer, pgTable, sparsevec, vector } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { SparseVector } from 'pgvector';
import { assertIndexScan, assertItems, bitOrders, bitQuery, createTable, ids, items, orders, query, url } from './database.js';

const { cosineDistance, l2Distance, sql } = drizzleOrm;
const pool = new pg.Pool({ connectionString: url });
const db = drizzle(pool);
const table = pgTable('items', {
  id: integer('id').primaryKey(),
  embedding: vector('embedding', { dimensions: 3 }),
  half: halfvec('half', { dimensions: 3 }),
  bits: bit('bits', { dimensions: 3 }),
  sparse: sparsevec('sparse', { dimensions: 3 }),
});

before(async () => {
  await db.execute(sql`CREATE EXTENSION IF NOT EXISTS vector`);
  await pool.query(createTable);
  await db.insert(table).values(items.map((row) => ({ ...row, sparse: row.sparse?.toString() ?? null })));
});

after(() => pool.end());

test('values', async () => {
  const rows = await db.select().from(table).orderBy(table.id);
  assertItems(rows.map((row) => ({ ...row, sparse: row.sparse && new SparseVector(row.sparse) })));
});

test('orders', async () => {
  const by = (expression) => db.select({ id: table.id }).from(table).orderBy(expression).limit(4);
  for (const [distance, order] of Object.entries(orders)) {
    const expression = drizzleOrm[distance === 'maxInnerProduct' ? 'innerProduct' : distance];
    assert.deepEqual(ids(await by(expression(table.embedding, query))), order, distance);
    assert.deepEqual(ids(await by(expression(table.half, query))), order, distance);
  }
  for (const [distance, order] of Object.entries(bitOrders)) {
    assert.deepEqual(ids(await by(drizzleOrm[distance](table.bits, bitQuery))), order, distance);
  }
});

test('similarity', async () => {
  const similarity = sql`1 - (${cosineDistance(table.embedding, [1, 1, 2])})`;
  const rows = await db.select({ id: table.id, similarity }).from(table).where(drizzleOrm.gt(similarity, 0.99));
  assert.deepEqual(rows, [{ id: 3, similarity: 1 }]);
});

test('index', async () => {
  await db.execute(sql`CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)`);
  await db.transaction(async (transaction) => {
    await transaction.execute(sql`SET LOCAL enable_seqscan = off`);
    const order = l2Distance(table.embedding, [1, 1, 2]);
    const nearest = transaction.select({ id: table.id }).from(table).orderBy(order).limit(1);
    assertIndexScan((await transaction.execute(sql`EXPLAIN ${nearest}`)).rows);
    assert.deepEqual(await nearest, [{ id: 3 }]);
  });
});
