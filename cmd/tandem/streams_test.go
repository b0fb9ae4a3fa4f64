package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router"
)

// A host over UDP is no stranger over TCP when large requests may go there.
func TestLargeRequestsGoToKnownHosts(t *testing.T) {
	const udp, tcp = 0, 1
	at := netip.MustParseAddrPort("10.0.0.1:5060")
	s := new(streams)
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{udp}, Large: []int{tcp}}}))
	require.Equal(t, []bool{false, true}, []bool{s.known(udp, at), s.known(tcp, at)})
	require.NoError(t, s.know([]router.HostInfo{{Addr: at, Listeners: []int{udp}, Transport: catalog.UDP}}))
	require.False(t, s.known(tcp, at))
}
