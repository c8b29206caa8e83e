import { type RotatingSigner, rotating, type Signer } from '@countersign/core'
import { closing, silenceWarnings } from './closing.ts'
import { newSigner } from './servers.ts'

/** A rotating signer that still has the replaced key. */
export interface ReplacedKey {
  readonly source: RotatingSigner
  readonly loads: number
}

/** Makes a rotating signer with a key that the authorization server does not know, whose next load returns `next`. */
export async function replacedKey(next: Signer): Promise<ReplacedKey> {
  silenceWarnings()
  let named = await newSigner()
  let loads = 0
  const source = closing(
    rotating(async () => {
      loads++
      return named
    }),
  )
  await source.ready()
  named = next
  return {
    source,
    get loads() {
      return loads
    },
  }
}
