# fish completion for javm-nubd
complete -c javm-nubd -f
complete -c javm-nubd -l isolation -x -a "thread process kvm" -d "where guests run"
complete -c javm-nubd -l workers -x -d "executors"
complete -c javm-nubd -l lanes -x -d "invocations that an executor has at once"
complete -c javm-nubd -l engine -x -a "interp jit" -d "how guests run"
complete -c javm-nubd -l gas-model -x -a "exec full" -d "gas model"
complete -c javm-nubd -l memory -x -d "private memory of an executor"
complete -c javm-nubd -l heap -x -d "the largest archived cap"
complete -c javm-nubd -l max-caps -x -d "archived caps that are kept"
complete -c javm-nubd -l watchdog -x -d "replace an executor that ends nothing for so long"
complete -c javm-nubd -l socket -r -d "where to listen"
complete -c javm-nubd -l allow-uid -x -d "who may connect"
complete -c javm-nubd -l max-connections -x -d "connections at once"
complete -c javm-nubd -l max-in-flight -x -d "unanswered requests of a connection"
complete -c javm-nubd -l max-request -x -d "of one request"
complete -c javm-nubd -l max-held -x -d "of all unanswered requests"
complete -c javm-nubd -l stall -x -d "to send a request, to take a response"
complete -c javm-nubd -l idle -x -d "without requests"
complete -c javm-nubd -l help
complete -c javm-nubd -l version
