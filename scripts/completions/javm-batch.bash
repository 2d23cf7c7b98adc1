# bash completion for javm-batch
_javm_batch() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --engine) COMPREPLY=($(compgen -W "interp jit" -- "$cur")) && return ;;
    --numa) COMPREPLY=($(compgen -W "auto off" -- "$cur")) && return ;;
    --isolation) COMPREPLY=($(compgen -W "thread process kvm" -- "$cur")) && return ;;
    --progress) COMPREPLY=($(compgen -W "auto bar plain none" -- "$cur")) && return ;;
    --gas-model) COMPREPLY=($(compgen -W "exec full" -- "$cur")) && return ;;
    --cache) COMPREPLY=($(compgen -d -- "$cur")) && return ;;
    --shard | --metrics | --host-call | --gas | --timeout | --workers | --max-in-flight | --mem-limit) return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "--gas --timeout --engine --gas-model --post --host-call --output --resume --retry-crashed --bisect --shard --mpi --ordered
            --reproducible --stats --trace --report --metrics --record --save-chains --keep-going --fail-fast --workers --max-in-flight --numa
            --isolation --mem-limit --cache --perf-map --progress --asm --help --version" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
        [[ $COMP_CWORD -eq 1 ]] && COMPREPLY+=($(compgen -W "run verify check compare info" -- "$cur"))
    fi
}
complete -o filenames -F _javm_batch javm-batch
