package main

import "runtime"

// spare is how many Ps there are beside those that are held while somebody waits:
// one for timers, probes and management, and one that is idle even then.
const spare = 2

// most is how many Ps for each CPU are no burden: the collector counts them.
const most = 4

// spareProcessors gives Go so many more Ps than goroutines that wait in system
// calls, each holding one, and returns whether there are: not where the operator
// has set GOMAXPROCS to fewer, nor with very many of them. More Ps are no more
// CPUs: they only let these keep theirs.
func spareProcessors(waiting int, getenv func(string) string) bool {
	have := runtime.GOMAXPROCS(0)
	if getenv("GOMAXPROCS") != "" || waiting+spare > most*runtime.NumCPU() {
		return have >= waiting+spare
	}
	if have < waiting+spare {
		runtime.GOMAXPROCS(waiting + spare)
	}
	return true
}
