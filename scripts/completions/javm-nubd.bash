# bash completion for javm-nubd
_javm_nubd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --isolation) COMPREPLY=($(compgen -W "thread process kvm" -- "$cur")) && return ;;
    --engine) COMPREPLY=($(compgen -W "interp jit" -- "$cur")) && return ;;
    --gas-model) COMPREPLY=($(compgen -W "exec full" -- "$cur")) && return ;;
    --socket) COMPREPLY=($(compgen -f -- "$cur")) && return ;;
    --workers | --lanes | --memory | --heap | --max-caps | --watchdog | --allow-uid | --max-connections | --max-in-flight | \
        --max-request | --max-held | --stall | --idle) return ;;
    esac
    COMPREPLY=($(compgen -W "--isolation --workers --lanes --engine --gas-model --memory --heap --max-caps --watchdog --socket
        --allow-uid --max-connections --max-in-flight --max-request --max-held --stall --idle --help --version" -- "$cur"))
}
complete -o filenames -F _javm_nubd javm-nubd
