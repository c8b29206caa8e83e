import { scriptTests } from '../support/script-tests.js'

await scriptTests('test/conformance/run.mjs')
