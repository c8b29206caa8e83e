import { Argument, Command } from 'commander'
import { defineCommand, runs } from './command.ts'

/** The shells that a script exists for. */
const shells = ['bash', 'zsh', 'fish'] as const

/**
 * `countersign completion SHELL`
 *
 * @param createProgram - makes the command line whose words are completed.
 */
export function completionCommand(createProgram: () => Command): Command {
  return defineCommand('completion', {
    summary: 'print a completion script for a shell',
    description: 'Prints the script by which a shell completes commands and options.',
    examples: [
      ['eval "$(countersign completion bash)"', 'bash; put this line into ~/.bashrc'],
      ['source <(countersign completion zsh)', 'zsh; put this line into ~/.zshrc'],
      [
        'countersign completion fish > ~/.config/fish/completions/countersign.fish',
        'fish, permanently',
      ],
    ],
  })
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action(
      runs<[string], object>(async (_context, [shell]) => {
        if (shell === 'bash') process.stdout.write(bashCompletion)
        else (await completions(createProgram)).setup('countersign', 'countersign', shell)
        return undefined
      }),
    )
}

/** `countersign complete -- WORDS…`, which the scripts call; it prints the completions of the last word. */
export function completeCommand(createProgram: () => Command): Command {
  return new Command('complete')
    .argument('[words...]')
    .allowUnknownOption()
    .action(
      runs<[string[]], object>(async (_context, [words]) => {
        ;(await completions(createProgram)).parse([...words])
        return undefined
      }),
    )
}

/** The command line in the form of the completion library. */
async function completions(createProgram: () => Command) {
  const { default: tab } = await import('@bomb.sh/tab/commander')
  const root = tab(createProgram(), { completionCommandName: 'completion' })
  // By default, the library offers the shells that it knows.
  root.commands.get('completion')?.argument('shell', (offer) => {
    for (const shell of shells) offer(shell, '')
  })
  return root
}

/**
 * Completes in bash, without the package bash-completion. The words are passed as they were typed and are not evaluated,
 * so that TAB does not run a substitution or open the file of a redirection.
 */
const bashCompletion = `# bash completion for countersign
__countersign_complete() {
  local value rest
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    case $value in
      :* | '') ;;
      *) COMPREPLY+=("$value") ;;
    esac
  done < <(countersign complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -o default -F __countersign_complete countersign
`
