import { type RotatingSigner, rotating, type Signer } from '@countersign/core'

/** Opens the key of a URI; called again when the key may have a new version. */
export type OpenKey = (uri: string, options: { readonly signal: AbortSignal }) => Promise<Signer>

/** A key in use by a client. */
export interface KeyLease {
  readonly source: RotatingSigner
  /** Closes the key after the last lease is released. */
  release(): Promise<void>
}

interface PooledKey {
  readonly source: RotatingSigner
  leases: number
}

/** Opens each key once, however many clients use it. */
export interface KeyPool {
  /** Returns the open key of a URI, or opens it. It rejects with the error of the key, and then holds no lease. */
  lease(uri: string, maxAgeSeconds?: number): Promise<KeyLease>
}

/** Makes an empty pool. */
export function keyPool(open: OpenKey): KeyPool {
  const keys = new Map<string, PooledKey>()

  return {
    async lease(uri, maxAgeSeconds = 3600) {
      const id = JSON.stringify([uri, maxAgeSeconds])
      const key = keys.get(id) ?? {
        source: rotating(({ signal }) => open(uri, { signal }), {
          maxAgeSeconds,
          timeoutSeconds: openSeconds,
        }),
        leases: 0,
      }
      keys.set(id, key)
      key.leases++
      let isReleased = false
      const release = async () => {
        if (isReleased) return
        isReleased = true
        key.leases--
        if (key.leases > 0) return
        if (keys.get(id) === key) keys.delete(id)
        await key.source.close()
      }
      try {
        await key.source.ready()
      } catch (error) {
        await release()
        throw error
      }
      return { source: key.source, release }
    },
  }
}

/** Long enough for a person to enter a PIN. */
const openSeconds = 300
