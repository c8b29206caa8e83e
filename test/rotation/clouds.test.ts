import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { type RotationMessage, rotating, type Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clientOf as awsClient } from '../aws-kms/fixtures.ts'
import { via } from '../azure-key-vault/fixtures.ts'
import { clientOf as gcpClient, startKms as startGcpKms } from '../gcp-kms/fixtures.ts'
import { messagesOn } from '../oauth/fixtures.ts'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type Connections, watchConnections } from '../support/connections.js'
import { keyPair } from '../support/key-pairs.js'
import { until } from '../support/until.js'
import { closing, startLoad, startPublishedClient } from './fixtures.ts'

/** A key in a cloud, under a name that can be pointed to another key. */
interface NamedKey {
  load(signal: AbortSignal): Promise<Signer>
  /** Points the name to the second key. */
  replace(): void
  /** Disables the first key. */
  disable(): void
}

const kind = 'P-256'
const [first, second] = [keyPair(kind, 0).privateKey, keyPair(kind, 1).privateKey]

const clouds: Record<string, () => Promise<NamedKey>> = {
  async 'an alias in AWS KMS that is retargeted'() {
    const kms = closing(await startAwsKms())
    const old = kms.importKey(first)
    kms.setAlias('alias/agent', old)
    const client = awsClient(kms)
    return {
      load: (signal) => awsKmsSigner({ keyId: 'alias/agent', client, signal }),
      replace: () => void kms.setAlias('alias/agent', kms.importKey(second)),
      disable: () => kms.disableKey(old),
    }
  },
  async 'a key in Google Cloud KMS that a version is added to'() {
    const kms = await startGcpKms()
    const name = kms.createKey({ kind, privateKey: first })
    const client = gcpClient(kms)
    return {
      load: (signal) => gcpKmsSigner({ name, client, signal }),
      replace: () => void kms.createVersion(name, { kind, privateKey: second }),
      disable: () => kms.setState(`${name}/cryptoKeyVersions/1`, 'DISABLED'),
    }
  },
  async 'a key in Azure Key Vault that a version is added to'() {
    const vault = closing(await startAzureKeyVault())
    const { id, versionlessId: keyId } = vault.createKey('agent', { kind, privateKey: first })
    return {
      load: (signal) => azureKeyVaultSigner({ keyId, ...via(vault), signal }),
      replace: () => void vault.createKey('agent', { kind, privateKey: second }),
      disable: () => vault.updateKey(id, { enabled: false }),
    }
  },
}

let connections: Connections
beforeAll(() => {
  connections = watchConnections()
})
afterAll(() => {
  connections.stop()
  expect(connections.abroad()).toEqual([])
})

describe.each(Object.entries(clouds))('%s', (_name, start) => {
  async function startRotating() {
    const key = await start()
    let elapsed = 0
    const source = closing(
      rotating(({ signal }) => key.load(signal), {
        maxAgeSeconds: 3600,
        now: () => Date.now() + elapsed,
      }),
    )
    await source.ready()
    const successor = await localSigner({ key: second })
    const { as } = await startPublishedClient(source, successor)
    const load = startLoad(as, 'agent', privateKeyJwt(source), 4)
    await load.more(20)
    const expectSwitched = async (messages: RotationMessage[], cause: RotationMessage['cause']) => {
      await until(() => source.current?.kid === successor.kid, 20)
      await load.more(20)
      await load.end()
      expect(messages).toMatchObject([{ cause, outcome: 'replaced', kid: successor.kid }])
      expect(as.tokenRequests.filter(({ status }) => status !== 200)).toEqual([])
      expect(as.tokenRequests.at(-1)?.assertion?.header.kid).toBe(successor.kid)
    }
    return {
      key,
      load,
      expectSwitched,
      pass(seconds: number) {
        elapsed += seconds * 1000
      },
    }
  }

  it('fails no token request under load when the key is reloaded by age, and the old key is disabled later', async () => {
    const { key, load, pass, expectSwitched } = await startRotating()
    const messages: RotationMessage[] = []
    await messagesOn('countersign:rotation', messages, async () => {
      key.replace()
      await load.more(20)
      pass(3600)
      await until(() => messages.length > 0, 20)
      key.disable()
      await expectSwitched(messages, 'age')
    })
  })

  it('fails no token request when the old key is disabled at once', async () => {
    const { key, load, expectSwitched } = await startRotating()
    const messages: RotationMessage[] = []
    await messagesOn('countersign:rotation', messages, async () => {
      key.replace()
      await load.more(20)
      key.disable()
      await expectSwitched(messages, 'failure')
    })
  })
})
