import { workerData } from 'node:worker_threads'

const milliseconds = 500

/** Ends this process when its parent, whose number is given, has ended. */
setInterval(() => {
  if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL')
}, milliseconds)
