
# Completes the program and its arguments as if the program stood alone, and leaves the rest to the function above.
_ddtrace_run_or_program() {
    local cur prev words cword i=1 word length=0 first=0 own_commands="@COMMANDS@"
    if ! declare -F _get_comp_words_by_ref _command_offset >/dev/null; then
        # Without bash-completion the arguments of another program cannot be completed: leave them to bash.
        [[ $COMP_CWORD -eq 1 || $2 == -* ]] && _ddtrace_run "$@"
        return
    fi
    # bash cuts words at = and : as well; it takes whole ones to count them.
    _get_comp_words_by_ref -n =: cur prev words cword

    while ((i < cword)); do
        case ${words[i]} in
            --)
                own_commands=""
                ((i++))
                break
                ;;
            @VALUE_FLAGS@) ((i += 2)) ;;
            -?*) ((i++)) ;;
            view | status | flush | completions)
                _ddtrace_run "$@"
                return
                ;;
            *) break ;;
        esac
    done

    if ((i > cword)); then
        _ddtrace_run "$1" "$cur" "$prev"
        # The value of a setting follows its key at once.
        [[ $prev == --set ]] && compopt -o nospace
    elif [[ $own_commands && ${words[i]} == --*=* ]]; then
        _ddtrace_run "$1" "${cur#*=}" "${cur%%=*}"
    elif [[ $own_commands && ${words[i]} == -* ]]; then
        _ddtrace_run "$@"
    else
        # _command_offset counts the words as bash has cut them.
        for word in "${words[@]:0:i}"; do ((length += ${#word})); done
        while ((length > 0)); do ((length -= ${#COMP_WORDS[first++]})); done
        local at_program=$((i == cword))
        _command_offset "$first"
        ((at_program)) && COMPREPLY+=($(compgen -W "$own_commands" -- "$cur"))
    fi
}
complete -F _ddtrace_run_or_program -o bashdefault -o default ddtrace-run
