// The database of these tests, and what all of them ask of it.

import assert from 'node:assert/strict';
import { SparseVector } from 'pgvector';

export const url = process.env.DATABASE_URL;

// Three rows and one without values, which comes last in every order.
export const items = [
  { id: 1, embedding: [1, 1, 1], half: [1, 1, 1], bits: '000', sparse: new SparseVector([1, 1, 1]) },
  { id: 2, embedding: [2, 2, -2], half: [2, 2, -2], bits: '101', sparse: new SparseVector([2, 2, -2]) },
  { id: 3, embedding: [1, 1, 2], half: [1, 1, 2], bits: '111', sparse: new SparseVector([1, 1, 2]) },
  { id: 4, embedding: null, half: null, bits: null, sparse: null },
];

// By each distance from [1, 1, 1] and from '101', the ids in the order of the answer.
export const query = [1, 1, 1];
export const bitQuery = '101';
export const orders = {
  l2Distance: [1, 3, 2, 4],
  maxInnerProduct: [3, 1, 2, 4],
  cosineDistance: [1, 3, 2, 4],
  l1Distance: [1, 3, 2, 4],
};
export const bitOrders = {
  hammingDistance: [2, 3, 1, 4],
  jaccardDistance: [2, 3, 1, 4],
};

// The table as SQL, for clients that have no language of their own for it.
export const createTable = `CREATE TABLE items (
  id int PRIMARY KEY, embedding vector(3), half halfvec(3), bits bit(3), sparse sparsevec(3))`;

export const ids = (rows) => rows.map((row) => Number(row.id));

// Rows as a client gave them back, in the order of their ids, are the items.
export function assertItems(rows) {
  const plain = ({ id, embedding, half, bits, sparse }) => [
    Number(id),
    embedding,
    half,
    bits,
    sparse && [...new SparseVector(sparse.toString()).toArray()],
  ];
  assert.deepEqual(rows.map(plain), items.map(plain));
}

// A plan, which is rows of text, scans an index in the order of distances.
export function assertIndexScan(rows) {
  assert.match(rows.map((row) => row['QUERY PLAN']).join('\n'), /Index Scan using .*\n *Order By: /);
}
