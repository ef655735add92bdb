import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { documentJsonSchema } from '../../../agent/lab/json-schema.ts';

const file = new URL('../../../assets/lab.schema.json', import.meta.url);

it('publishes the JSON Schema that the validator has', () => {
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(documentJsonSchema());
});
