import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import * as pgvector from 'pgvector/mikro-orm';
import { assertIndexScan, assertItems, bitOrders, bitQuery, ids, items, orders, query, url } from './database.js';

const { BitType, HalfvecType, SparsevecType, VectorType } = pgvector;
const Item = new EntitySchema({
  name: 'Item',
  tableName: 'items',
  properties: {
    id: { type: 'integer', primary: true },
    embedding: { type: VectorType, length: 3, nullable: true },
    half: { type: HalfvecType, length: 3, nullable: true },
    bits: { type: BitType, length: 3, nullable: true },
    sparse: { type: SparsevecType, length: 3, nullable: true },
  },
});
let orm;

before(async () => {
  orm = await MikroORM.init({ entities: [Item], clientUrl: url });
  const em = orm.em.fork();
  await em.execute('CREATE EXTENSION IF NOT EXISTS vector');
  await orm.schema.create();
  items.forEach((item) => em.create(Item, item));
  await em.flush();
});

after(() => orm?.close());

test('values', async () => {
  assertItems(await orm.em.fork().find(Item, {}, { orderBy: { id: 'ASC' } }));
});

test('orders', async () => {
  const by = (expression) =>
    orm.em.fork().createQueryBuilder(Item).orderBy({ [expression]: 'ASC' }).limit(4).getResult();
  for (const [distance, order] of Object.entries(orders)) {
    for (const column of ['embedding', 'half']) {
      assert.deepEqual(ids(await by(pgvector[distance](column, query))), order, distance);
    }
  }
  for (const [distance, order] of Object.entries(bitOrders)) {
    assert.deepEqual(ids(await by(pgvector[distance]('bits', bitQuery))), order, distance);
  }
});

test('index', async () => {
  await orm.em.fork().transactional(async (em) => {
    await em.execute('CREATE INDEX items_embedding ON items USING hnsw (embedding vector_l2_ops)');
    await em.execute('SET LOCAL enable_seqscan = off');
    const order = "SELECT id FROM items ORDER BY embedding <-> '[1,1,2]' LIMIT 1";
    assertIndexScan(await em.execute(`EXPLAIN ${order}`));
    assert.deepEqual(ids(await em.execute(order)), [3]);
  });
});
