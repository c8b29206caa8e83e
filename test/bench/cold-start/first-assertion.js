// @ts-check
import { readFileSync } from 'node:fs'
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'

const signer = await localSigner({ key: readFileSync(String(process.argv[2]), 'utf8') })
await clientAssertion(signer, { clientId: 'billing-agent', audience: 'https://as.example.com' })
