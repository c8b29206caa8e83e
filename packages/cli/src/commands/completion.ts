import { Argument, Command } from 'commander'
import { defineCommand, runs } from '../frame.ts'

/** The shells that there is a script for. */
export const shells = ['bash', 'zsh', 'fish'] as const

/** `countersign completion SHELL` */
export function completionCommand(): Command {
  return defineCommand('completion', {
    summary: 'print a completion script for a shell',
    description: 'Prints the script by which a shell completes commands and options.',
    examples: [
      ['eval "$(countersign completion bash)"', 'bash; put this line into ~/.bashrc'],
      ['source <(countersign completion zsh)', 'zsh; put this line into ~/.zshrc'],
      [
        'countersign completion fish > ~/.config/fish/completions/countersign.fish',
        'fish, once and for all',
      ],
    ],
  })
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action(
      runs<[string], object>(async (_frame, [shell]) => {
        const { printCompletionScript } = await import('../complete.ts')
        return printCompletionScript(shell)
      }),
    )
}

/** `countersign complete -- WORDS…`, which those scripts call. */
export function completeCommand(): Command {
  return new Command('complete')
    .argument('[words...]')
    .allowUnknownOption()
    .action(
      runs<[string[]], object>(async (_frame, [words]) => {
        const { complete } = await import('../complete.ts')
        return complete(words)
      }),
    )
}
