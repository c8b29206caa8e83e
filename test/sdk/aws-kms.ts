import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'

const client = new KMSClient({ region: 'eu-west-1' })
void awsKmsSigner({ keyId: 'alias/agent', client })
