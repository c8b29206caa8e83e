import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packages, root } from '../../scripts/workspace.mjs'

/**
 * A fenced block of a page.
 *
 * @typedef {{ language: string, line: number, text: string }} Block
 */

/**
 * A page of the documentation, with its blocks in order.
 *
 * @typedef {{ file: string, blocks: Block[] }} Page
 */

/** @param {string} file relative to the repository */
const readPage = (file) => ({
  file,
  blocks: blocksOf(readFileSync(join(root, file), 'utf8')),
})

/** The README, the pages of docs/, and the README of each package. */
export function pages() {
  const docs = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'))
  return [
    'README.md',
    ...docs.map((file) => `docs/${file}`),
    ...packages().map(({ folder }) => `packages/${folder}/README.md`),
  ].map(readPage)
}

/**
 * @param {string} markdown
 * @returns {Block[]}
 */
function blocksOf(markdown) {
  return [...markdown.matchAll(/^```(\w+)[^\n]*\n([\s\S]*?)^```$/gm)].map((found) => ({
    language: found[1] ?? '',
    line: markdown.slice(0, found.index).split('\n').length,
    text: found[2] ?? '',
  }))
}

/** A line that installs packages, and the words after `npm install`. */
export const installLine = /^npm install (.+)$/gm

/**
 * Returns the `npm install` commands of a page: the line of each block, and the words after `npm install`.
 *
 * @param {Page} page
 */
export const installsOf = ({ blocks }) =>
  blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ line, text }) =>
      [...text.matchAll(installLine)].map(([, words = '']) => ({ line, words: words.split(' ') })),
    )

/**
 * Returns the blocks of a page that are whole programs in JavaScript or TypeScript.
 *
 * @param {Page} page
 */
export const programsOf = ({ blocks }) =>
  blocks.filter(({ language, text }) => /^[jt]s$/.test(language) && !/^declare /m.test(text))

const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')

/**
 * Adds the workspace's versions to the third-party packages of an install line, so that their new releases do not change
 * the test result.
 *
 * @param {readonly string[]} words
 */
export const pinned = (words) =>
  words.map((word) => {
    const version = new RegExp(`^  '?${word}'?: ([\\d.]+)$`, 'm').exec(catalog)?.[1]
    return version === undefined ? word : `${word}@${version}`
  })
