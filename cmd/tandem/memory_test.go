package main

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config"
)

func TestCollection(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name string
		env  map[string]string
		room uint64
		want collection
	}{
		{"a container", nil, 1000 * mb, collection{collectPercent, 900 * mb}},
		{"a small one: sockets take as much", nil, 256 * mb, collection{collectPercent, 224 * mb}},
		{"a tiny one", nil, 40 * mb, collection{collectPercent, 20 * mb}},
		{"a large machine", nil, 1 << 40, collection{collectPercent, 1<<40 - 1<<40/10}},
		{"nobody knows", nil, 0, collection{percent: collectPercent}},
		{"GOGC is set", map[string]string{"GOGC": "100"}, 1000 * mb, collection{limit: 900 * mb}},
		{"GOGC is off", map[string]string{"GOGC": "off"}, 1000 * mb, collection{limit: 900 * mb}},
		{"GOMEMLIMIT is set", map[string]string{"GOMEMLIMIT": "400MiB"}, 1000 * mb, collection{percent: collectPercent}},
		{"GOMEMLIMIT is off", map[string]string{"GOMEMLIMIT": "off"}, 1000 * mb, collection{percent: collectPercent}},
		{"both are set", map[string]string{"GOGC": "25", "GOMEMLIMIT": "400MiB"}, 1000 * mb, collection{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, collectionFor(func(name string) string { return c.env[name] }, c.room))
		})
	}
}

// Half of the memory is for calls, at 2 KiB each.
func TestMostCalls(t *testing.T) {
	for room, want := range map[uint64]int{0: 0, 64 << 20: 50_000, 256 << 20: 65_536, 1 << 30: 262_144, 8 << 30: 2_000_000} {
		require.Equal(t, want, mostCalls(room))
	}
}

// A quarter of the memory is for connections of others, at 32 KiB each, unless the
// config says how many. One address has half of them, 2,000 at most, unless the
// config says otherwise, and no more than all. A sixteenth is for those of ours.
func TestMostConnections(t *testing.T) {
	for room, want := range map[uint64][2]int{
		0: {20_000, 5000}, 16 << 20: {1000, 500}, 256 << 20: {2048, 512}, 512 << 20: {4096, 1024}, 8 << 30: {20_000, 5000},
	} {
		others, ours := mostConnections(room)
		require.Equal(t, want, [2]int{others, ours})
	}
	require.Equal(t, 1024, limitsOf(config.Streams{}, 512<<20).Dialled)
	require.Equal(t, 700, limitsOf(config.Streams{Outgoing: 700}, 512<<20).Dialled)
	for _, c := range []struct{ connections, perSource, all, one int }{
		{0, 0, 1024, 512}, {0, 700, 1024, 700}, {0, 2000, 1024, 1024}, {1, 0, 1, 1}, {3000, 0, 3000, 1500}, {3000, 2000, 3000, 2000}, {10_000, 0, 10_000, 2000},
	} {
		limits := limitsOf(config.Streams{Connections: c.connections, PerSource: c.perSource}, 128<<20)
		require.Equal(t, [2]int{c.all, c.one}, [2]int{limits.Connections, limits.PerSource}, c)
	}
}

// Some memory is there, and less than all of it may be used.
func TestTellCollector(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("memory", tellCollector()...)
	require.Regexp(t, `"msg":"memory","room_mb":[1-9][0-9]*,"gomemlimit_mb":[1-9][0-9]*,"gogc":[1-9]`, log.String())
	require.Less(t, room(), uint64(math.MaxInt64))
}

// What is let go is collected once it is much, or when the rest of it follows, and counted anew then.
func TestKeepMemory(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	frees := []int{0, collectAfter - 1, 1, 1, collectAfter - 2, 1, 3 * collectAfter, 0, collectRest - 1, 0, 1, 0, 0}
	ticks := make(chan time.Time, len(frees))
	for range frees {
		ticks <- time.Time{}
	}
	var collected []int
	at := 0
	keepMemory(ctx, ticks, func() int {
		if at++; at == len(frees) {
			end()
		}
		return frees[at-1]
	}, func() { collected = append(collected, at) })
	require.Equal(t, []int{3, 6, 7, 12}, collected)
}
