package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// A node in its stride allocates next to nothing. What the collector is told
// matters when millions of numbers are loaded, and after a peak of calls.

const (
	// collectPercent is GOGC where the environment has none. What is large is a
	// table of numbers, which has no pointers: to look for garbage twice as often
	// as Go would costs nothing that could be measured, and the peak of a reload
	// is a fifth lower.
	collectPercent = 50

	// leastSpared is what at least is left to what Go does not count: socket
	// buffers, the memory that the store's file is mapped to.
	leastSpared = 32 << 20

	// trimEvery is how often memory that calls do not need is let go; most of it
	// is gone after a minute without them.
	trimEvery = 10 * time.Second

	// collectAfter is how many bytes are let go before they are collected, and
	// collectRest how many are worth it when no more follow. Go would do it when
	// as much is allocated again, or after two minutes.
	collectAfter = 8 << 20
	collectRest  = 1 << 20
)

// collection is what Go's collector is told: a percentage as in GOGC, bytes as
// in GOMEMLIMIT; 0 where it has been told by the environment, or knows best.
type collection struct {
	percent int
	limit   int64
}

// collectionFor chooses it for a process that may take room bytes, 0 when that
// is not known. What the environment sets, Go has read.
func collectionFor(getenv func(string) string, room uint64) (c collection) {
	if getenv("GOGC") == "" {
		c.percent = collectPercent
	}
	if getenv("GOMEMLIMIT") == "" && room > 0 {
		c.limit = int64(max(room/2, room-min(room, max(room/10, leastSpared))))
	}
	return c
}

// room is how many bytes this process may take: those of its control group or of
// the machine, whichever has less; 0 if neither says.
func room() (bytes uint64) {
	for _, of := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if has, err := of(); err == nil && (bytes == 0 || has < bytes) {
			bytes = has
		}
	}
	return bytes
}

// mostCalls is how many calls may be in memory at once on a machine, or in a
// control group, with so many bytes: half of them at 2 KiB a call, which is what
// an ordinary one takes with its messages until it is answered. 0, the router's
// own number, where the memory is not known.
func mostCalls(room uint64) int {
	const perCall, least, most = 2 << 10, 50_000, 2_000_000
	if room == 0 {
		return 0
	}
	return int(min(max(room/2/perCall, least), most))
}

// mostConnections is how many connections of others, and of ours, may be there on a
// machine, or in a control group, with so many bytes: a quarter of them, and a
// sixteenth, at 32 KiB each, which is what an idle one over TLS takes. 20,000 and
// 5,000 where the memory is not known.
func mostConnections(room uint64) (others, ours int) {
	const perConnection = 32 << 10
	if room == 0 {
		return 20_000, 5000
	}
	return int(min(max(room/4/perConnection, 1000), 20_000)), int(min(max(room/16/perConnection, 500), 5000))
}

// tellCollector does so, and returns what is in force then, for the log.
func tellCollector() []any {
	has := room()
	c := collectionFor(os.Getenv, has)
	if c.percent > 0 {
		debug.SetGCPercent(c.percent)
	}
	if c.limit > 0 {
		debug.SetMemoryLimit(c.limit)
	}
	return []any{"room_mb", has >> 20, "gomemlimit_mb", debug.SetMemoryLimit(-1) >> 20, "gogc", percentInForce()}
}

// percentInForce is GOGC; -1 is off.
func percentInForce() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	if metrics.Read(s); s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int(s[0].Value.Uint64())
}

// keepMemory has what a peak left behind let go at each tick, and collected when
// it is worth that, until ctx ends.
func keepMemory(ctx context.Context, ticks <-chan time.Time, trim func() (bytes int), collect func()) {
	freed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := trim()
		if freed += now; freed >= collectAfter || freed >= collectRest && now == 0 {
			collect()
			freed = 0
		}
	}
}

// keepMemory does it for a node.
func (n *node) keepMemory(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	keepMemory(ctx, tick.C, n.router.Trim, runtime.GC)
}
