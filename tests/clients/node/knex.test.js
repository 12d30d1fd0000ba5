import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import knexFactory from 'knex';
import pgvector from 'pgvector/knex';
import { assertIndexScan, assertItems, bitOrders, bitQuery, ids, items, orders, query, url } from './database.js';

const knex = knexFactory({ client: 'pg', connection: url });

before(async () => {
  await knex.schema.createExtensionIfNotExists('vector');
  await knex.schema.createTable('items', (table) => {
    table.integer('id').primary();
    table.vector('embedding', 3);
    table.halfvec('half', { dimensions: 3 });
    table.specificType('bits', 'bit(3)');
    table.sparsevec('sparse', 3);
  });
  await knex('items').insert(
    items.map(({ embedding, half, sparse, ...row }) => ({
      ...row,
      embedding: pgvector.toSql(embedding),
      half: pgvector.toSql(half),
      sparse: pgvector.toSql(sparse),
    })),
  );
});

after(() => knex.destroy());

test('values', async () => {
  const rows = await knex('items').orderBy('id');
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
  for (const [distance, order] of Object.entries(orders)) {
    for (const column of ['embedding', 'half']) {
      assert.deepEqual(ids(await knex('items').orderBy(knex[distance](column, query)).limit(4)), order, distance);
    }
  }
  for (const [distance, order] of Object.entries(bitOrders)) {
    assert.deepEqual(ids(await knex('items').orderBy(knex[distance]('bits', bitQuery)).limit(4)), order, distance);
  }
});

test('index', async () => {
  await knex.schema.alterTable('items', (table) => {
    table.index([knex.raw('embedding vector_l2_ops')], 'items_embedding', 'hnsw');
  });
  await knex.transaction(async (transaction) => {
    await transaction.raw('SET LOCAL enable_seqscan = off');
    const nearest = transaction('items').select('id').orderBy(knex.l2Distance('embedding', [1, 1, 2])).limit(1);
    assertIndexScan((await transaction.raw(`EXPLAIN ${nearest.toString()}`)).rows);
    assert.deepEqual(ids(await nearest), [3]);
  });
  await knex.schema.alterTable('items', (table) => table.dropIndex([], 'items_embedding'));
});
