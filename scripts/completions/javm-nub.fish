# fish completion for javm-nub
complete -c javm-nub -n __fish_use_subcommand -x -a "smoke put-cap invoke heap-stats boot-info evict"
complete -c javm-nub -l socket -r -d "of javm-nubd"
complete -c javm-nub -l isolation -x -a "thread process kvm" -d "an executor for this command"
complete -c javm-nub -l engine -x -a "interp jit" -d "of that executor"
complete -c javm-nub -l put -r -d "publish what the file has, first"
complete -c javm-nub -l json -d "one line of JSON"
complete -c javm-nub -l endpoint -x -d "of invoke"
complete -c javm-nub -l gas -x -d "of invoke"
complete -c javm-nub -l arg -x -d "of invoke"
complete -c javm-nub -l root -x -d "of the file of invoke"
complete -c javm-nub -l help
complete -c javm-nub -l version
