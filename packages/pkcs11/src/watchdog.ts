import { Socket } from 'node:net'

/** The pipe that the parent holds open as long as it lives, however it ends. */
const parent = new Socket({ fd: 4 })
parent.on('close', () => process.kill(process.pid, 'SIGKILL'))
parent.on('error', () => {})
parent.resume()
