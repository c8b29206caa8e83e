/**
 * Gathers what comes up in one turn of the event loop, and sends it when the turn ends, or earlier in parts.
 *
 * @param most - length of a part: the other side begins with one while the next is still being gathered.
 */
export function outbox<T>(most: number, send: (items: readonly T[]) => void): (item: T) => void {
  let gathered: T[] = []

  function flush(): void {
    if (gathered.length === 0) return
    const items = gathered
    gathered = []
    send(items)
  }

  return (item) => {
    gathered.push(item)
    if (gathered.length >= most) flush()
    else if (gathered.length === 1) process.nextTick(flush)
  }
}
