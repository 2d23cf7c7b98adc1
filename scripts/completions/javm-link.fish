# fish completion for javm-link
complete -c javm-link -s o -r -d "where the image goes"
complete -c javm-link -l isa -x -a "pvm2 pvm" -d "instruction set"
complete -c javm-link -l stack -x -d "bytes of stack"
complete -c javm-link -l heap -x -d "bytes of heap"
complete -c javm-link -l gas-slot -x -d "slot for a Gas handle"
complete -c javm-link -l quota-slot -x -d "slot for a Quota handle"
complete -c javm-link -l receiver -x -d "slot for the YieldReceiver"
complete -c javm-link -l map -r -d "write offsets, markers and costs"
complete -c javm-link -l check -d "write nothing"
complete -c javm-link -l help
complete -c javm-link -l version
