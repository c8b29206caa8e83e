// @ts-check
/**
 * Formats a table in Markdown with aligned columns.
 *
 * @param {readonly (readonly string[])[]} rows the first one is the head
 */
export function table(rows) {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (/** @type {readonly string[]} */ cells, fill = ' ') =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width, fill)).join(' | ')} |`
  return [line(head), line([], '-'), ...rows.slice(1).map((row) => line(row))].join('\n')
}
