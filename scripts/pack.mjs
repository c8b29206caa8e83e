import { start } from './lib/start.mjs'

start(() => import('./commands/pack.mjs'))
