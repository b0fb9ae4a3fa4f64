package router

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMachine(t *testing.T) {
	a := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", i)) }
	var m machine
	m.set([]netip.Addr{a(3), a(1), a(3), a(2)})
	require.Equal(t, []uint8{1, 2, 3, 0}, []uint8{m.place(a(1)), m.place(a(2)), m.place(a(3)), m.place(netip.Addr{})})
	require.False(t, m.has(a(4)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { m.place(a(4)) })
	}
	wg.Wait()
	require.EqualValues(t, 4, m.place(a(4)), "it came after the start")
	require.True(t, m.has(a(4)))
	require.Equal(t, a(4), m.at(4))
	require.False(t, m.at(0).IsValid())
	require.False(t, m.at(5).IsValid())
	for i := range 300 {
		m.place(netip.MustParseAddr(fmt.Sprintf("10.1.%d.%d", i/200, i%200)))
	}
	require.Len(t, *m.addrs.Load(), mostPlaces)
	require.EqualValues(t, 0, m.place(a(99)), "no room")
	require.Equal(t, a(1), m.at(1))
}
