import { expect, test } from 'vitest'
import { faultMatrix } from './page.js'

test('docs/fault-matrix.md shows the cells that are tested; "npm run docs" writes it again', async () => {
  await expect(faultMatrix()).toMatchFileSnapshot('../../docs/fault-matrix.md')
})
