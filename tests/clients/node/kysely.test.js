import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import pgvector, { SparseVector } from 'pgvector';
import * as distances from 'pgvector/kysely';
import { assertIndexScan, assertItems, bitOrders, bitQuery, ids, items, orders, query, url } from './database.js';

const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }) });

before(async () => {
  await sql`CREATE EXTENSION IF NOT EXISTS vector`.execute(db);
  await db.schema
    .createTable('items')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('embedding', sql`vector(3)`)
    .addColumn('half', sql`halfvec(3)`)
    .addColumn('bits', sql`bit(3)`)
    .addColumn('sparse', sql`sparsevec(3)`)
    .execute();
  const rows = items.map(({ embedding, half, sparse, ...row }) => ({
    ...row,
    embedding: pgvector.toSql(embedding),
    half: pgvector.toSql(half),
    sparse: pgvector.toSql(sparse),
  }));
  await db.insertInto('items').values(rows).execute();
});

after(() => db.destroy());

test('values', async () => {
  const rows = await db.selectFrom('items').selectAll().orderBy('id').execute();
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
  const by = (expression) => db.selectFrom('items').select('id').orderBy(expression).limit(4).execute();
  for (const [distance, order] of Object.entries(orders)) {
    const values = { embedding: query, half: query, sparse: new SparseVector(query) };
    for (const [column, value] of Object.entries(values)) {
      assert.deepEqual(ids(await by(distances[distance](column, value))), order, `${distance} ${column}`);
    }
  }
  for (const [distance, order] of Object.entries(bitOrders)) {
    assert.deepEqual(ids(await by(distances[distance]('bits', bitQuery))), order, distance);
  }
});

test('within a distance', async () => {
  const { l2Distance } = distances;
  const rows = await db.selectFrom('items').select('id').where(l2Distance('embedding', query), '<', 2).execute();
  assert.deepEqual(ids(rows).sort(), [1, 3]);
});

test('index', async () => {
  await db.schema
    .createIndex('items_embedding')
    .on('items')
    .using('hnsw')
    .expression(sql`embedding vector_l2_ops`)
    .execute();
  await db.transaction().execute(async (transaction) => {
    await sql`SET LOCAL enable_seqscan = off`.execute(transaction);
    const order = distances.l2Distance('embedding', [1, 1, 2]);
    const nearest = transaction.selectFrom('items').select('id').orderBy(order).limit(1);
    assertIndexScan(await nearest.explain());
    assert.deepEqual(ids(await nearest.execute()), [3]);
  });
});
