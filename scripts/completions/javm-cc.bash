# bash completion for javm-cc
_javm_cc() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --isa) COMPREPLY=($(compgen -W "pvm2 pvm" -- "$cur")) && return ;;
    --stack | --heap | --gas-slot | --quota-slot | --receiver) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "-o -c -v --isa --stack --heap --gas-slot --quota-slot --receiver --map --elf --no-runtime --help --version
            -O1 -O2 -O3 -g -D -I -Wall" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -o filenames -F _javm_cc javm-cc
