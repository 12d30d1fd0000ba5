import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pgvector from 'pgvector';
import { DataSource, EntitySchema } from 'typeorm';
import { assertIndexScan, ids, items, orders, query, url } from './database.js';

// TypeORM has types for vector and halfvec only, and makes the extension by itself.
const Item = new EntitySchema({
  name: 'items',
  columns: {
    id: { type: 'int', primary: true },
    embedding: { type: 'vector', length: 3, nullable: true },
    half: { type: 'halfvec', length: 3, nullable: true },
  },
});
const source = new DataSource({ type: 'postgres', url, entities: [Item], synchronize: true });
const rows = items.map(({ id, embedding, half }) => ({ id, embedding, half }));

before(async () => {
  await source.initialize();
  await source.getRepository(Item).save(rows);
});

after(() => source.destroy());

test('values', async () => {
  const found = await source.getRepository(Item).find({ order: { id: 'ASC' } });
  assert.deepEqual(found.map((row) => ({ ...row })), rows);
});

test('orders', async () => {
  const operators = { l2Distance: '<->', maxInnerProduct: '<#>', cosineDistance: '<=>', l1Distance: '<+>' };
  for (const [distance, operator] of Object.entries(operators)) {
    for (const column of ['embedding', 'half']) {
      const found = await source
        .getRepository(Item)
        .createQueryBuilder('item')
        .orderBy(`item.${column} ${operator} :query`)
        .setParameters({ query: pgvector.toSql(query) })
        .limit(4)
        .getMany();
      assert.deepEqual(ids(found), orders[distance], `${column} ${operator}`);
    }
  }
});

test('the schema is found as it was made', async () => {
  const { upQueries } = await source.driver.createSchemaBuilder().log();
  assert.deepEqual(upQueries.map(({ query }) => query), []);
});

test('index', async () => {
  await source.query('CREATE INDEX items_embedding ON items USING hnsw (embedding vector_l2_ops)');
  await source.transaction(async (manager) => {
    await manager.query('SET LOCAL enable_seqscan = off');
    const order = 'SELECT id FROM items ORDER BY embedding <-> $1 LIMIT 1';
    assertIndexScan(await manager.query(`EXPLAIN ${order}`, [pgvector.toSql([1, 1, 2])]));
    assert.deepEqual(ids(await manager.query(order, [pgvector.toSql([1, 1, 2])])), [3]);
  });
});
