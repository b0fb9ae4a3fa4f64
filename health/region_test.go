package health

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func down(h *Host, now int64) {
	for range 3 {
		h.Observe(now, silent)
	}
}

func up(h *Host, now int64) {
	for range 2 {
		h.Observe(now, ok200)
	}
}

func TestRegion_FollowsItsHosts(t *testing.T) {
	var told []string
	r := NewRegistry(Options{Settings: *probing(), OnRegion: func(f RegionFlip) {
		told = append(told, fmt.Sprint(f.Region, " ", f.Unhealthy, ": ", f.Reason(), " at ", f.At/second))
	}})
	east, none := r.Region("east"), r.Region("none")
	require.False(t, east.Unhealthy())
	require.Equal(t, "east", east.Name())
	k := []Key{testKey(0), testKey(1), testKey(2), testKey(3)}
	r.SetRegions(map[string][]Key{"east": {k[0], k[1], k[2], k[1]}, "west": {k[2], k[3]}})
	require.Same(t, east, r.Region("east"))
	west := r.Region("west")
	bad, hosts := r.Counts(east)
	require.Equal(t, []int{0, 3}, []int{bad, hosts}, "each host once")

	down(r.Host(k[0]), second)
	require.False(t, east.Unhealthy(), "a third")
	for range 5 {
		r.Host(k[2]).Observe(2*second, callStuck)
	}
	require.True(t, east.Unhealthy(), "ejected ones count")
	require.False(t, west.Unhealthy(), "a half is not more than a half")
	down(r.Host(k[2]), 3*second)
	require.False(t, west.Unhealthy(), "ejected and down is one host")
	down(r.Host(k[3]), 4*second)
	require.True(t, west.Unhealthy())
	up(r.Host(k[0]), 5*second)
	require.False(t, east.Unhealthy())
	for range 2 {
		r.Host(k[1]).Observe(6*second, callFullFor(1))
		r.Host(k[1]).Observe(6*second, callSilent)
	}
	require.False(t, east.Unhealthy(), "full and doubtful ones are alive")

	r.SetRegions(map[string][]Key{"east": {k[2]}})
	require.True(t, east.Unhealthy())
	require.False(t, west.Unhealthy(), "it has no hosts")
	require.False(t, none.Unhealthy())
	up(r.Host(k[3]), 7*second)
	require.Equal(t, []string{
		"east true: 2 of 3 hosts down or ejected at 2",
		"west true: 2 of 2 hosts down or ejected at 4",
		"east false: 1 of 3 hosts down or ejected at 5",
		"east true: 1 of 1 hosts down or ejected at 0",
		"west false: none of its hosts is in service at 0",
	}, told)
}

func TestRegion_BesideFlips(t *testing.T) {
	var flips atomic.Int64
	r := NewRegistry(Options{Settings: *probing(), OnRegion: func(RegionFlip) { flips.Add(1) }})
	names := []string{"a", "b", "c"}
	var keys []Key
	for i := range 12 {
		keys = append(keys, testKey(i))
		r.Host(testKey(i))
	}
	var workers sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(9, uint64(i)))
			for n := range 3000 {
				now := int64(n+1) * second
				switch {
				case i > 0:
					h := r.Host(keys[rnd.IntN(len(keys))])
					h.Observe(now, anything[rnd.IntN(len(anything))])
					h.Claim(now)
					h.View(now)
					h.Calls(now)
					h.History()
					r.Region(names[rnd.IntN(3)]).Unhealthy()
				case n%10 == 0:
					members := map[string][]Key{}
					for _, k := range keys {
						name := names[rnd.IntN(3)]
						members[name] = append(members[name], k)
						members["all"] = append(members["all"], k)
					}
					r.SetRegions(members)
				}
			}
		})
	}
	workers.Wait()
	bad := 0
	for _, k := range keys {
		if r.Host(k).Status().State.bad() {
			bad++
		}
	}
	got, hosts := r.Counts(r.Region("all"))
	require.Equal(t, []int{bad, len(keys)}, []int{got, hosts}, "counted right to the end")
	require.Equal(t, 2*bad > len(keys), r.Region("all").Unhealthy())
	of := 0
	for _, name := range names {
		_, hosts := r.Counts(r.Region(name))
		of += hosts
	}
	require.Equal(t, len(keys), of)
	require.Positive(t, flips.Load())
}
