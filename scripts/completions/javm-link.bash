# bash completion for javm-link
_javm_link() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --isa) COMPREPLY=($(compgen -W "pvm2 pvm" -- "$cur")) && return ;;
    --stack | --heap | --gas-slot | --quota-slot | --receiver) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "-o --isa --stack --heap --gas-slot --quota-slot --receiver --map --check --help --version" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -o filenames -F _javm_link javm-link
