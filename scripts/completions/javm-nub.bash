# bash completion for javm-nub
_javm_nub() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word
    case $prev in
    --isolation) COMPREPLY=($(compgen -W "thread process kvm" -- "$cur")) && return ;;
    --engine) COMPREPLY=($(compgen -W "interp jit" -- "$cur")) && return ;;
    --socket | --put) COMPREPLY=($(compgen -f -- "$cur")) && return ;;
    --endpoint | --gas | --arg | --root) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "--socket --isolation --engine --put --json --endpoint --gas --arg --root --help --version" -- "$cur"))
        return
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in put-cap | invoke) COMPREPLY=($(compgen -f -- "$cur")) && return ;; esac
    done
    COMPREPLY=($(compgen -W "smoke put-cap invoke heap-stats boot-info evict" -- "$cur"))
}
complete -o filenames -F _javm_nub javm-nub
