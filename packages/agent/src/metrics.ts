import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SignMessage } from '@countersign/core'
import type { TokenMessage } from '@countersign/oauth'
import { Counter, Histogram, Registry } from 'prom-client'

/** What the agent counts. */
export interface Metrics {
  /** Counts an answered request. */
  request(operation: string, status: number, seconds: number): void
  /** Counts a token that was given to a caller. */
  token(client: string, cached: boolean): void
  /** The metrics in the text format of Prometheus. */
  text(): Promise<string>
  readonly contentType: string
  /** Stops counting. */
  close(): void
}

const buckets = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]

/**
 * Starts to count the signatures and token requests of this process, which `@countersign/core` and `@countersign/oauth`
 * report on their diagnostics channels, and the requests to the agent.
 *
 * @see [Prometheus text format](https://prometheus.io/docs/instrumenting/exposition_formats/)
 */
export function startMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const signatures = new Histogram({
    name: 'countersign_signature_duration_seconds',
    help: 'Signatures, by backend, outcome and code of the error.',
    labelNames: ['backend', 'outcome', 'code'],
    ...{ buckets, registers },
  })
  const tokenRequests = new Histogram({
    name: 'countersign_token_request_duration_seconds',
    help: 'Token requests to authorization servers with their retries, by client ID, outcome and code.',
    labelNames: ['client_id', 'outcome', 'code'],
    ...{ buckets, registers },
  })
  const tokens = new Counter({
    name: 'countersign_agent_tokens_total',
    help: 'Tokens given to callers, by client, and whether the token was in the cache or shared with another caller.',
    labelNames: ['client', 'cached'],
    registers,
  })
  const requests = new Histogram({
    name: 'countersign_agent_request_duration_seconds',
    help: 'Requests to the agent, by operation and HTTP status.',
    labelNames: ['operation', 'status'],
    ...{ buckets, registers },
  })

  const onSign = (message: unknown) => {
    const { backend, outcome, code = '', durationSeconds } = message as SignMessage
    signatures.observe({ backend, outcome, code }, durationSeconds)
  }
  const onTokenRequest = (message: unknown) => {
    const { clientId, outcome, code = '', durationSeconds } = message as TokenMessage
    tokenRequests.observe({ client_id: clientId, outcome, code }, durationSeconds)
  }
  subscribe('countersign:sign', onSign)
  subscribe('countersign:token', onTokenRequest)

  return {
    request: (operation, status, seconds) => requests.observe({ operation, status }, seconds),
    token: (client, cached) => tokens.inc({ client, cached: String(cached) }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    close() {
      unsubscribe('countersign:sign', onSign)
      unsubscribe('countersign:token', onTokenRequest)
    },
  }
}
