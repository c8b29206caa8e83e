import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkNames } from '../src/violations.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the README has one row for each check, in the order they are made', () => {
  const table = readme.split('\n## ').find((section) => section.startsWith('What each check')) ?? ''
  const rows = [...table.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, name]) => name)
  expect(rows).toEqual(checkNames)
})

/** Chance, to two digits, that a run does not come across a fault that shows once in `period` signatures. */
function missed(period: number, signatures: number): number {
  return Number(((1 - 1 / period) ** signatures).toPrecision(2))
}

test('the odds in the README are right', () => {
  const rows = [...readme.matchAll(/^\| (\d+) +\| ([\d.e-]+) +\| ([\d.e-]+) +\|$/gm)]
  expect(rows.length).toBeGreaterThan(3)
  for (const [, signatures, ecdsa, rsa] of rows) {
    expect(Number(ecdsa)).toBe(missed(128, Number(signatures)))
    expect(Number(rsa)).toBe(missed(256, Number(signatures)))
  }
})
