# fish completion for javm-vectors
complete -c javm-vectors -l engine -x -a "interp jit" -d "the engine to check"
complete -c javm-vectors -l name -x -d "only vectors whose name contains this"
complete -c javm-vectors -l verbose -d "print the vectors that pass, too"
complete -c javm-vectors -l quiet -d "print only the last line"
complete -c javm-vectors -l help
complete -c javm-vectors -l version
