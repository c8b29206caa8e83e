// @ts-check

/** @typedef {{ name: string, points: readonly { x: number, y: number }[] }} Line */
/** @typedef {{ title: string, lines: readonly Line[] }} Panel */

// Colors with a contrast above 3 on white and on black, and dashes for readers who do not tell colors apart.
const strokes = [
  { color: '#d1652a', dashes: '' },
  { color: '#a463c4', dashes: '7 3' },
  { color: '#2f8f56', dashes: '' },
  { color: '#3b82c4', dashes: '2 3' },
]
const ink = '#75808a'

const width = 440
const height = 270
const margin = { left: 90, right: 36, top: 34, bottom: 40 }
const legendHeight = 34

/**
 * Draws panels, two in a row, with logarithmic axes, as SVG without a background.
 *
 * @param {readonly Panel[]} panels  with the same lines in the same order
 * @param {{ x: string }} axes
 */
export function plot(panels, axes) {
  const rows = Math.ceil(panels.length / 2)
  const size = { width: 2 * width, height: rows * height + legendHeight }
  const names = panels[0]?.lines.map(({ name }) => name) ?? []
  const drawn = panels.map((panel, index) => {
    const [x, y] = [(index % 2) * width, legendHeight + Math.floor(index / 2) * height]
    return `<g transform="translate(${x} ${y})">\n${drawPanel(panel, axes)}\n</g>`
  })
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="${ink}">`,
    `<title>${panels.map(({ title }) => title).join('; ')}</title>`,
    ...names.map(legend),
    ...drawn,
    '</svg>',
  ].join('\n')}\n`
}

/**
 * @param {string} name
 * @param {number} index
 */
function legend(name, index) {
  const x = margin.left + index * 178
  return `${path([`M${x} 16`, `h28`], index)}<text x="${x + 34}" y="20">${name}</text>`
}

/**
 * @param {Panel} panel
 * @param {{ x: string }} axes
 */
function drawPanel({ title, lines }, axes) {
  const points = lines.flatMap((line) => line.points)
  const xPowers = powersUpTo(Math.max(...points.map(({ x }) => x)))
  const yPowers = powersUpTo(Math.max(...points.map(({ y }) => y)))
  const [right, bottom] = [width - margin.right, height - margin.bottom]
  const xOf = scale(xPowers, margin.left, right)
  const yOf = scale(yPowers, bottom, margin.top)
  const grid = [
    ...xPowers.map((power) => {
      const x = xOf(10 ** power)
      return `<text x="${x}" y="${bottom + 18}" text-anchor="middle">${label(power)}</text>`
    }),
    ...yPowers.map((power) => {
      const y = yOf(10 ** power)
      const rule = `<path d="M${margin.left} ${y}H${right}" stroke="${ink}" stroke-opacity=".3"/>`
      return `${rule}<text x="${margin.left - 8}" y="${y + 4}" text-anchor="end">${label(power)}</text>`
    }),
  ]
  const middle = (margin.left + right) / 2
  return [
    `<text x="${margin.left}" y="18" font-weight="600">${title}</text>`,
    ...grid,
    `<text x="${middle}" y="${bottom + 35}" text-anchor="middle">${axes.x}</text>`,
    ...lines.map((line, index) =>
      path(
        line.points.map(
          ({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${xOf(x)} ${yOf(Math.max(1, y))}`,
        ),
        index,
      ),
    ),
  ].join('\n')
}

/**
 * @param {readonly string[]} commands
 * @param {number} index
 */
function path(commands, index) {
  const { color = ink, dashes = '' } = strokes[index] ?? {}
  const dasharray = dashes === '' ? '' : ` stroke-dasharray="${dashes}"`
  return `<path d="${commands.join('')}" fill="none" stroke="${color}" stroke-width="2.5"${dasharray}/>`
}

/** @param {number} largest */
function powersUpTo(largest) {
  const last = Math.max(1, Math.ceil(Math.log10(largest)))
  return Array.from({ length: last + 1 }, (_, power) => power)
}

/**
 * @param {readonly number[]} powers
 * @param {number} from
 * @param {number} to
 * @returns {(value: number) => number}
 */
function scale(powers, from, to) {
  const last = powers.at(-1) ?? 1
  return (value) => Math.round(10 * (from + ((to - from) * Math.log10(value)) / last)) / 10
}

/** @param {number} power */
function label(power) {
  return (10 ** power).toLocaleString('en-US')
}
