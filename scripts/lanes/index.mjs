import { scriptLane } from '../lib/script-lane.mjs'
import { vitest } from '../lib/vitest.mjs'
import { checkLane } from './check.mjs'
import { demoLane } from './demo.mjs'
import { examplesLane } from './examples.mjs'
import { matrixLane } from './matrix.mjs'
import { ministackLane } from './ministack.mjs'
import { pkcs11Lane } from './pkcs11.mjs'
import { sdkVersionsLane } from './sdk-versions.mjs'
import { wycheproofLane } from './wycheproof.mjs'

/**
 * @typedef {object} Lane
 * @property {string} name
 * @property {string} about one line for `--help`
 * @property {boolean} [onRequest] runs under CI, or when asked for, because it fetches or takes much
 * @property {() => Promise<import('../lib/counts.mjs').Counts>} run
 */

/** Parts of `test/` that vitest runs in a lane of their own. */
const ownLane = ['test/wycheproof/**', 'test/pkcs11/**', 'test/ministack/**']

/**
 * Every lane of `npm test`, in the order in which they run.
 *
 * @type {readonly Lane[]}
 */
export const lanes = [
  { name: 'check', about: 'format, lint, types, unused code, packaging', run: checkLane },
  {
    name: 'unit',
    about: 'the tests of packages/ and test/',
    run: () =>
      vitest(
        'unit',
        ownLane.map((glob) => `--exclude=${glob}`),
        { timeoutSeconds: 900 },
      ),
  },
  {
    name: 'wycheproof',
    about: 'ECDSA vectors, from the folder COUNTERSIGN_WYCHEPROOF names',
    run: wycheproofLane,
  },
  { name: 'pkcs11', about: 'keys on SoftHSM, directly and through p11-kit', run: pkcs11Lane },
  { name: 'ministack', about: 'keys in MiniStack, an independent AWS KMS', run: ministackLane },
  {
    name: 'conformance',
    about: 'the MCP conformance suite',
    run: scriptLane('conformance', { script: 'test/conformance/run.mjs', timeoutSeconds: 300 }),
  },
  {
    name: 'consumer',
    about: 'the packed packages in a fresh project, with plain npm',
    run: scriptLane('consumer', { script: 'test/packaging/consumer.mjs', timeoutSeconds: 600 }),
  },
  {
    name: 'docs',
    about: 'what the documentation says to install and to run, with plain npm',
    run: scriptLane('docs', { script: 'test/packaging/docs.mjs', timeoutSeconds: 900 }),
  },
  { name: 'demo', about: 'npm run demo', run: demoLane },
  { name: 'examples', about: 'everything in examples/', run: examplesLane },
  {
    name: 'sdk-versions',
    about: 'the cloud backends with the oldest SDKs that they promise to work with',
    onRequest: true,
    run: sdkVersionsLane,
  },
  {
    name: 'matrix',
    about: "the packages' tests and the demo on Node 22, 24 and 26",
    onRequest: true,
    run: matrixLane,
  },
]
