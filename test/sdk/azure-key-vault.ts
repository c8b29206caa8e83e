import { KeyClient } from '@azure/keyvault-keys'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'

const keyId = 'https://agents.vault.azure.net/keys/agent'
const credential = { getToken: async () => ({ token: 'a-token', expiresOnTimestamp: 0 }) }
void azureKeyVaultSigner({ keyId, client: new KeyClient(new URL(keyId).origin, credential) })
void azureKeyVaultSigner({ keyId, credential, clientOptions: { retryOptions: { maxRetries: 1 } } })
