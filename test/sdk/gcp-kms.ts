import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'

const name = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
const client = new KeyManagementServiceClient({ projectId: 'p' })
void gcpKmsSigner({ name, client })
void gcpKmsSigner({ name, clientOptions: { projectId: 'p' } })
