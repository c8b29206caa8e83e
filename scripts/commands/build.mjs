import { prepare } from '../lib/prepare.mjs'

/** `npm run build`: installs the dependencies and compiles the packages. */
export async function main() {
  await prepare()
  return 0
}
