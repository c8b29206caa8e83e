import tab from '@bomb.sh/tab/commander'
import { bashCompletion } from './bash-completion.ts'
import { shells } from './commands/completion.ts'
import { createProgram } from './program.ts'

/** The command line as the library of completions knows it. */
function completions(): ReturnType<typeof tab> {
  const root = tab(createProgram({ completion: false }), { completionCommandName: 'completion' })
  // The library offers the shells that it knows itself.
  root.commands.get('completion')?.argument('shell', (offer) => {
    for (const shell of shells) offer(shell, '')
  })
  return root
}

/** Prints the script by which a shell completes this command. */
export async function printCompletionScript(shell: string): Promise<undefined> {
  if (shell === 'bash') process.stdout.write(bashCompletion)
  else completions().setup('countersign', 'countersign', shell)
}

/** Prints what the last of the words may become. */
export async function complete(words: readonly string[]): Promise<undefined> {
  completions().parse([...words])
}
