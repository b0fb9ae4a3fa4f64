package router

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A call that rings has its own size and two messages: the INVITE and the 180.
// Go gives out 704 bytes, and then 768.
func TestSizeOfACall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(call{}), uintptr(704))
}

func TestSurplus(t *testing.T) {
	for low, want := range map[int]int{0: 0, shelfKeeps: 0, shelfKeeps + 1: 1, shelfKeeps + 2: 1, shelfKeeps + 100: 50, shelfKeeps + 101: 51} {
		require.Equal(t, want, surplus(low), "%d", low)
	}
}

// A shelf of things that nobody takes empties, but for a few; one whose things
// are needed now and then stays as it is.
func TestShelfLooks(t *testing.T) {
	var s shelf[*int]
	for range 1000 {
		s.put(new(int))
	}
	require.Zero(t, s.trim(s.look()), "it was empty since the last look")
	require.Equal(t, surplus(1000), s.trim(s.look()))
	left := len(s.free)
	for range 20 { // all of it is needed once in each time
		for range left {
			_, ok := s.take()
			require.True(t, ok)
		}
		_, ok := s.take()
		require.False(t, ok)
		for range left {
			s.put(new(int))
		}
		require.Zero(t, s.trim(s.look()))
	}
	s.look()
	for range left - 100 { // all but a hundred
		s.take()
	}
	for range left - 100 {
		s.put(new(int))
	}
	require.Equal(t, surplus(100), s.trim(s.look()))
	for range 20 {
		s.trim(s.look())
	}
	require.Len(t, s.free, shelfKeeps)
	require.LessOrEqual(t, cap(s.free), 16*shelfKeeps, "the room for them is let go too")
	for _, hidden := range s.free[len(s.free):cap(s.free)] {
		require.Nil(t, hidden, "nothing is held that was let go")
	}
}

// What is taken while a look goes on is not let go of a second time.
func TestShelfIsTakenFromDuringALook(t *testing.T) {
	var s shelf[*int]
	for range 100 {
		s.put(new(int))
	}
	s.look()
	n := s.look()
	for range 90 {
		s.take()
	}
	require.Equal(t, 10, s.trim(n))
	require.Empty(t, s.free)
}

// TestTrimAfterAPeak: after many calls at once the memory comes back, and the
// count of it is right; calls go on as before.
func TestTrimAfterAPeak(t *testing.T) {
	g := newRig(t, threeHosts())
	calls := func(n int) {
		for i := range n {
			all := g.from(caller, invite(fmt.Sprint("Call-ID: peak-", i)))
			for range 2 { // the second and third host are tried: there is room for long searches
				inv := all[len(all)-1]
				all = g.from(inv.to, respond(inv, 503))
			}
			g.from(all[len(all)-1].to, respond(all[len(all)-1], 200))
		}
		g.pass(33 * time.Second)
		require.Zero(t, g.r.Live())
	}
	g.r.Trim()
	before := g.r.Usage()
	const peak = 10_000
	calls(peak)
	most := g.r.Usage()
	require.GreaterOrEqual(t, most.CallBytes, peak*int(unsafe.Sizeof(call{})))
	freed := 0
	for range 12 {
		freed += g.r.Trim()
	}
	after := g.r.Usage()
	require.Less(t, after.CallBytes, before.CallBytes+stripes*(shelfKeeps+1)*int(unsafe.Sizeof(call{})))
	require.Less(t, after.BufferBytes, most.BufferBytes/5)
	require.GreaterOrEqual(t, freed, most.CallBytes-after.CallBytes+most.BufferBytes-after.BufferBytes)
	for i, st := range g.r.stripes {
		require.Equal(t, st.made, len(st.idle.free), i)
	}
	calls(100)
}
