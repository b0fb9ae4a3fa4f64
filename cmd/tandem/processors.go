package main

import "runtime"

// spare is how many Ps there are beside the workers: one for timers, probes and
// management, and one that is idle even then.
const spare = 2

// spareProcessors gives Go so many more Ps than sockets that their workers can
// wait in the receive call, each holding one, and returns whether there are: not
// where the operator has set GOMAXPROCS to fewer. More Ps are no more CPUs: they
// only let the workers keep theirs.
func spareProcessors(sockets int, getenv func(string) string) bool {
	have := runtime.GOMAXPROCS(0)
	if getenv("GOMAXPROCS") != "" {
		return have > sockets
	}
	if have < sockets+spare {
		runtime.GOMAXPROCS(sockets + spare)
	}
	return true
}
