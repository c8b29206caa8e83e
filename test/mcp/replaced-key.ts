import { type RotatingSigner, rotating, type Signer } from '@countersign/core'
import { closing, silenceWarnings } from './closing.ts'
import { newSigner } from './line.ts'

/** A rotating signer that still has the key from before. */
export interface ReplacedKey {
  readonly source: RotatingSigner
  readonly loads: number
}

/** A name under which a key stands that the authorization server knows no longer, and then one that it does know. */
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
