# bash completion for javm-vectors
_javm_vectors() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --engine) COMPREPLY=($(compgen -W "interp jit" -- "$cur")) && return ;;
    --name) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "--engine --name --verbose --quiet --help --version" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -o filenames -F _javm_vectors javm-vectors
