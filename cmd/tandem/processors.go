package main

import "runtime"

// spare is how many Ps there are beside the workers: one for timers, probes and
// management, and one that is idle even then.
const spare = 2

// most is how many Ps for each CPU are no burden: the collector counts them.
const most = 4

// spareProcessors gives Go so many more Ps than sockets that their workers can
// wait in the receive call, each holding one, and returns whether there are: not
// where the operator has set GOMAXPROCS to fewer, nor with very many sockets. More Ps are no more CPUs: they
// only let the workers keep theirs.
func spareProcessors(sockets int, getenv func(string) string) bool {
	have := runtime.GOMAXPROCS(0)
	if getenv("GOMAXPROCS") != "" || sockets+spare > most*runtime.NumCPU() {
		return have >= sockets+spare
	}
	if have < sockets+spare {
		runtime.GOMAXPROCS(sockets + spare)
	}
	return true
}
