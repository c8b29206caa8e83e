// @ts-check
// A key service runs in its own process, so that its work does not count as its client's.
import { startAwsKms } from '../../servers/aws-kms.js'
import { startAzureKeyVault } from '../../servers/azure-key-vault.js'
import { startGcpKms } from '../../servers/gcp-kms.js'

/**
 * The options of a client, for the service and its one key on P-256.
 *
 * @typedef {{ key: string, client: Record<string, any>, token?: string }} Access
 */

const [vendor, latency = '0'] = process.argv.slice(2)
const latencyMilliseconds = Number(latency)

/** @type {Record<string, () => Promise<{ access: Access, signatures: () => number }>>} */
const services = {
  async aws() {
    const kms = await startAwsKms({ latencyMilliseconds })
    const access = { key: kms.createKey('P-256').arn, client: kms.client }
    return {
      access,
      signatures: () => counted(kms.requests, ({ operation }) => operation === 'Sign'),
    }
  },
  async gcp() {
    const kms = await startGcpKms()
    kms.setLatency(latencyMilliseconds)
    const key = `${kms.createKey({ kind: 'P-256' })}/cryptoKeyVersions/1`
    return {
      access: { key, client: { port: kms.port } },
      signatures: () => counted(kms.requests, ({ method }) => method === 'AsymmetricSign'),
    }
  },
  async azure() {
    const vault = await startAzureKeyVault({ latencyMilliseconds })
    const { clientOptions: client, token } = vault
    return {
      access: { key: vault.createKey('agent').id, client, token },
      signatures: () => counted(vault.calls(), (operation) => operation === 'sign'),
    }
  },
}

/**
 * @template Item
 * @param {readonly Item[]} items
 * @param {(item: Item) => boolean} isMeant
 */
function counted(items, isMeant) {
  return items.filter(isMeant).length
}

const start = services[vendor ?? '']
if (start === undefined) throw new Error(`no service ${vendor}`)
const { access, signatures } = await start()
process.on('message', () => process.send?.({ signatures: signatures() }))
process.on('disconnect', () => process.exit())
process.send?.(access)
