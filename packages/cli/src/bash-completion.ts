/**
 * Completes in bash, without the package bash-completion. The words of the line are handed over as they were typed and
 * evaluated by nobody, so that TAB neither runs a substitution nor opens the file of a redirection.
 */
export const bashCompletion = `# bash completion for countersign
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
