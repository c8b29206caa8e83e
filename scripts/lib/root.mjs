import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Where everything goes that can be fetched or made again; ignored by git. */
export const cache = join(root, '.cache')
