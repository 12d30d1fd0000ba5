import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as distances from 'pgvector/sequelize';
import { DataTypes, Sequelize } from 'sequelize';
import { assertIndexScan, assertItems, bitOrders, bitQuery, ids, items, orders, query, url } from './database.js';

const sequelize = new Sequelize(url, { logging: false });
const Item = sequelize.define(
  'Item',
  {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    embedding: { type: DataTypes.VECTOR(3) },
    half: { type: DataTypes.HALFVEC(3) },
    bits: { type: 'BIT(3)' },
    sparse: { type: DataTypes.SPARSEVEC(3) },
  },
  {
    modelName: 'Item',
    tableName: 'items',
    timestamps: false,
    indexes: [{ fields: ['embedding'], using: 'hnsw', operator: 'vector_l2_ops' }],
  },
);

before(async () => {
  // A connection looks the types up when it is made, so they must be there by then.
  const first = new Sequelize(url, { logging: false });
  await first.query('CREATE EXTENSION IF NOT EXISTS vector');
  await first.close();
  await Item.sync({ force: true });
  await Item.bulkCreate(items);
});

after(() => sequelize.close());

test('values', async () => {
  assertItems((await Item.findAll({ order: ['id'] })).map((item) => item.get({ plain: true })));
});

test('orders', async () => {
  // Not four: pgvector's index, which its planner may take here, leaves NULL out.
  const by = (order) => Item.findAll({ order, limit: 3 });
  for (const [distance, order] of Object.entries(orders)) {
    for (const column of ['embedding', 'half']) {
      assert.deepEqual(ids(await by(distances[distance](column, query, sequelize))), order.slice(0, 3), distance);
    }
  }
  for (const [distance, order] of Object.entries(bitOrders)) {
    assert.deepEqual(ids(await by(distances[distance]('bits', bitQuery, sequelize))), order.slice(0, 3), distance);
  }
});

test('index', async () => {
  await sequelize.transaction(async (transaction) => {
    await sequelize.query('SET LOCAL enable_seqscan = off', { transaction });
    const order = distances.l2Distance('embedding', [1, 1, 2], sequelize);
    assert.deepEqual(ids(await Item.findAll({ order, limit: 1, transaction })), [3]);
    const sql = `EXPLAIN SELECT id FROM items ORDER BY ${order.val} LIMIT 1`;
    const [plan] = await sequelize.query(sql, { transaction });
    assertIndexScan(plan);
  });
});
