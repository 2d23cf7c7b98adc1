# fish completion for javm-cc
complete -c javm-cc -s o -r -d "where the image or object goes"
complete -c javm-cc -s c -d "compile one file to an object"
complete -c javm-cc -s v -d "show the commands"
complete -c javm-cc -l isa -x -a "pvm2 pvm" -d "instruction set"
complete -c javm-cc -l stack -x -d "bytes of stack"
complete -c javm-cc -l heap -x -d "bytes of heap"
complete -c javm-cc -l gas-slot -x -d "slot for a Gas handle"
complete -c javm-cc -l quota-slot -x -d "slot for a Quota handle"
complete -c javm-cc -l receiver -x -d "slot for the YieldReceiver"
complete -c javm-cc -l map -r -d "write offsets, markers and costs"
complete -c javm-cc -l elf -r -d "keep the linked ELF"
complete -c javm-cc -l no-runtime -d "without start file and library"
complete -c javm-cc -l help
complete -c javm-cc -l version
