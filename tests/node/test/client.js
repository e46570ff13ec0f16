// The official client, what every test shares, and the shapes that answers must have: the SDK itself checks none.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import OpenAI, { toFile } from 'openai';

for (const name of ['OPENAI_BASE_URL', 'OPENAI_API_KEY']) {
  assert.ok(process.env[name], `${name} is not set; start the tests with scripts/test-node`);
}

export const client = new OpenAI({ maxRetries: 0, timeout: 60_000 });
export const TEXTS = ['Cats sleep most of the day.', 'Rockets burn liquid oxygen.', 'Bread needs flour and water.'];
export const textFile = (text, name = 'notes.txt') => toFile(Buffer.from(text), name);

// Each field of the SDK's type, with what its value must be; a '?' behind the name says that it may be absent.
const nullable = (check) => (value) => value === null || check(value);
const is = (type) => (value) => typeof value === type;
const one = (...values) => (value) => values.includes(value);
const integer = Number.isInteger;
const object = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (check) => (value) => Array.isArray(value) && value.every(check);
const id = (prefix) => (value) => typeof value === 'string' && value.startsWith(prefix);
const counts = (value) =>
  ['in_progress', 'completed', 'cancelled', 'failed', 'total'].every((name) => integer(value[name])) &&
  value.total === value.in_progress + value.completed + value.cancelled + value.failed;
const status = one('in_progress', 'completed', 'cancelled', 'failed');

export const shapes = {
  store: {
    id: id('vs_'), object: one('vector_store'), created_at: integer, name: is('string'), usage_bytes: integer,
    file_counts: counts, status: one('expired', 'in_progress', 'completed'), last_active_at: nullable(integer),
    metadata: nullable(object), 'expires_after?': object, 'expires_at?': nullable(integer),
  },
  storeFile: {
    id: id('file-'), object: one('vector_store.file'), created_at: integer, vector_store_id: id('vs_'),
    usage_bytes: integer, status, last_error: nullable(object), 'attributes?': nullable(object),
    'chunking_strategy?': object,
  },
  batch: {
    id: id('vsfb_'), object: one('vector_store.files_batch'), created_at: integer, vector_store_id: id('vs_'), status,
    file_counts: counts,
  },
  result: {
    file_id: is('string'), filename: is('string'), score: (value) => value >= 0 && value <= 1,
    attributes: nullable(object), content: list((part) => part.type === 'text' && typeof part.text === 'string'),
  },
  file: {
    id: id('file-'), object: one('file'), bytes: integer, created_at: integer, filename: is('string'),
    purpose: is('string'), status: one('uploaded', 'processed', 'error'), 'expires_at?': integer,
  },
  upload: {
    id: id('upload_'), object: one('upload'), bytes: integer, created_at: integer, expires_at: integer,
    filename: is('string'), purpose: is('string'), status: one('pending', 'completed', 'cancelled', 'expired'),
    'file?': nullable(object),
  },
  part: { id: id('part_'), object: one('upload.part'), created_at: integer, upload_id: id('upload_') },
  model: { id: is('string'), object: one('model'), created: integer, owned_by: is('string') },
};

export function checkShape(name, value) {
  for (const [field, check] of Object.entries(shapes[name])) {
    const key = field.replace('?', '');
    if (!(key in value) && field.endsWith('?')) continue;
    assert.ok(key in value && check(value[key]), `${name}.${key} is ${JSON.stringify(value[key])}`);
  }
  return value;
}

// Things that are deleted when the test ends.
export async function makeStore(test, options = {}) {
  const store = await client.vectorStores.create({ name: `node-${randomUUID()}`, ...options });
  test.after(() => client.vectorStores.delete(store.id).catch(ignoreGone));
  return store;
}

export async function makeFile(test, text, name) {
  const file = await client.files.create({ file: await textFile(text, name), purpose: 'assistants' });
  test.after(() => client.files.delete(file.id).catch(ignoreGone));
  return file;
}

export function ignoreGone(error) {
  if (error.status !== 404) throw error;
}

export async function collect(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}
