import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import pgvector from 'pgvector/pg';
import {
  assertIndexScan,
  assertItems,
  bitOrders,
  bitQuery,
  createTable,
  ids,
  items,
  orders,
  query,
  url,
} from './database.js';

const client = new pg.Client({ connectionString: url });
const operators = { l2Distance: '<->', maxInnerProduct: '<#>', cosineDistance: '<=>', l1Distance: '<+>' };
const bitOperators = { hammingDistance: '<~>', jaccardDistance: '<%>' };

before(async () => {
  await client.connect();
  await client.query('CREATE EXTENSION IF NOT EXISTS vector');
  await pgvector.registerTypes(client);
  await client.query(createTable);
  for (const { id, embedding, half, bits, sparse } of items) {
    const values = [id, pgvector.toSql(embedding), pgvector.toSql(half), bits, pgvector.toSql(sparse)];
    await client.query('INSERT INTO items VALUES ($1, $2, $3, $4, $5)', values);
  }
});

after(() => client.end());

const select = async (sql, values) => (await client.query(sql, values)).rows;

test('values', async () => {
  assertItems(await select('SELECT * FROM items ORDER BY id'));
});

for (const [distance, operator] of Object.entries(operators)) {
  test(distance, async () => {
    for (const [column, value] of [
      ['embedding', pgvector.toSql(query)],
      ['half', pgvector.toSql(query)],
      ['sparse', '{1:1,2:1,3:1}/3'],
    ]) {
      const rows = await select(`SELECT id FROM items ORDER BY ${column} ${operator} $1 LIMIT 4`, [value]);
      assert.deepEqual(ids(rows), orders[distance], column);
    }
  });
}

for (const [distance, operator] of Object.entries(bitOperators)) {
  test(distance, async () => {
    const rows = await select(`SELECT id FROM items ORDER BY bits ${operator} $1 LIMIT 4`, [bitQuery]);
    assert.deepEqual(ids(rows), bitOrders[distance]);
  });
}

test('prepared statements', async () => {
  const statement = {
    name: 'nearest',
    text: 'SELECT id, embedding <-> $1 AS distance FROM items ORDER BY embedding <-> $1 LIMIT 2',
    values: [pgvector.toSql([1, 1, 2])],
  };
  for (let run = 0; run < 10; run++) {
    assert.deepEqual(await select(statement), [
      { id: 3, distance: 0 },
      { id: 1, distance: 1 },
    ]);
  }
});

test('aggregates', async () => {
  const rows = await select('SELECT avg(embedding), sum(half), avg(half) AS half FROM items WHERE id < 3');
  assert.deepEqual(rows, [{ avg: [1.5, 1.5, -0.5], sum: [3, 3, -1], half: [1.5, 1.5, -0.5] }]);
});

test('errors', async () => {
  await assert.rejects(client.query('INSERT INTO items VALUES (5, $1)', ['[1,2]']), {
    code: '22000',
    message: 'expected 3 dimensions, not 2',
  });
  await assert.rejects(client.query('INSERT INTO items VALUES (5, $1)', ['[1,x]']), { code: '22P02' });
});

test('settings', async () => {
  await client.query('BEGIN');
  await client.query('SET LOCAL hnsw.ef_search = 100');
  await client.query("SET LOCAL hnsw.iterative_scan = 'strict_order'");
  await client.query('SET LOCAL ivfflat.probes = 10');
  assert.deepEqual(await select('SHOW hnsw.ef_search'), [{ 'hnsw.ef_search': '100' }]);
  await client.query('COMMIT');
});

// What is indexed, how, the operator that the index serves, from where, and what is nearest.
const binary = '(binary_quantize(embedding)::bit(3))';
const indexes = [
  ['hnsw (embedding vector_l2_ops) WITH (m = 16, ef_construction = 64)', 'embedding', '<->', '[1,1,2]', 3],
  ['hnsw (embedding vector_ip_ops)', 'embedding', '<#>', '[1,1,2]', 3],
  ['hnsw (embedding vector_cosine_ops)', 'embedding', '<=>', '[1,1,2]', 3],
  ['hnsw (embedding vector_l1_ops)', 'embedding', '<+>', '[1,1,2]', 3],
  ['hnsw (half halfvec_l2_ops)', 'half', '<->', '[1,1,2]', 3],
  ['hnsw ((embedding::halfvec(3)) halfvec_cosine_ops)', 'embedding::halfvec(3)', '<=>', '[1,1,2]', 3],
  ['hnsw (bits bit_hamming_ops)', 'bits', '<~>', '111', 3],
  ['hnsw (bits bit_jaccard_ops)', 'bits', '<%>', '111', 3],
  [`hnsw (${binary} bit_hamming_ops)`, binary, '<~>', '110', 2],
  ['hnsw (sparse sparsevec_l2_ops)', 'sparse', '<->', '{1:1,2:1,3:2}/3', 3],
  ['ivfflat (embedding vector_l2_ops) WITH (lists = 1)', 'embedding', '<->', '[1,1,2]', 3],
  ['ivfflat (half halfvec_ip_ops) WITH (lists = 1)', 'half', '<#>', '[1,1,2]', 3],
  ['ivfflat (bits bit_hamming_ops) WITH (lists = 1)', 'bits', '<~>', '111', 3],
];
for (const [index, expression, operator, value, nearest] of indexes) {
  test(`USING ${index}`, async () => {
    await client.query('BEGIN');
    try {
      await client.query(`CREATE INDEX ON items USING ${index}`);
      await client.query('SET LOCAL enable_seqscan = off');
      const order = `SELECT id FROM items ORDER BY ${expression} ${operator} '${value}' LIMIT 1`;
      assertIndexScan(await select(`EXPLAIN (COSTS OFF) ${order}`));
      assert.deepEqual(ids(await select(order)), [nearest]);
    } finally {
      await client.query('ROLLBACK');
    }
  });
}
