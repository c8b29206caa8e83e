import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { faultMatrix, faultPage } from '../../scripts/lib/fault-matrix.mjs'
import { root } from '../../scripts/lib/root.mjs'

test('docs/fault-matrix.md shows the cells that are tested; "npm run docs" writes it anew', () => {
  expect(readFileSync(join(root, faultPage), 'utf8')).toBe(faultMatrix())
})
