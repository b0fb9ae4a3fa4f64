package names

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChoose(t *testing.T) {
	mixed := addrs("192.0.2.1", "192.0.2.2", "2001:db8::1")
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
		ok    func(netip.Addr) bool
		want  []netip.Addr // one of them
	}{
		{"nothing", nil, nil, nil},
		{"one", addrs("192.0.2.1"), nil, addrs("192.0.2.1")},
		{"any", mixed, nil, mixed},
		{"of a family", mixed, netip.Addr.Is6, addrs("2001:db8::1")},
		{"none of a family", mixed[:2], netip.Addr.Is6, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(100) {
				got, found := Choose(c.addrs, seed, c.ok)
				require.Equal(t, c.want != nil, found)
				if found {
					require.Contains(t, c.want, got)
				}
			}
		})
	}
}

// Every node and every version is to make the same choice.
func TestChooseIsTheSameEverywhere(t *testing.T) {
	list := addrs("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")
	var got []string
	for seed := range uint64(8) {
		a, _ := Choose(list, seed, nil)
		got = append(got, a.String())
	}
	require.Equal(t, []string{"2001:db8::2", "192.0.2.2", "2001:db8::1", "2001:db8::2",
		"2001:db8::1", "2001:db8::1", "192.0.2.2", "2001:db8::1"}, got)
}

func TestChooseDoesNotDependOnTheOrder(t *testing.T) {
	list := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
	turned := slices.Clone(list)
	slices.Reverse(turned)
	for seed := range uint64(1000) {
		a, _ := Choose(list, seed, nil)
		b, _ := Choose(turned, seed, nil)
		require.Equal(t, a, b)
	}
}

func TestChooseSpreadsAndMovesOnlyWhatIsLost(t *testing.T) {
	list := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2")
	for lost := range list {
		up := func(a netip.Addr) bool { return a != list[lost] }
		const seeds = 20_000
		share := map[netip.Addr]int{}
		for seed := range uint64(seeds) {
			before, _ := Choose(list, seed, nil)
			after, _ := Choose(list, seed, up)
			share[after]++
			if before != list[lost] && before != after {
				require.Fail(t, "moved", "seed %d: %s to %s", seed, before, after)
			}
		}
		for a, n := range share {
			require.InDelta(t, seeds/(len(list)-1), n, seeds/50, "%s without %s", a, list[lost])
		}
	}
}

func TestChooseDoesNotAllocate(t *testing.T) {
	list := addrs("192.0.2.1", "2001:db8::1")
	six := true
	require.Zero(t, testing.AllocsPerRun(100, func() {
		Choose(list, 7, func(a netip.Addr) bool { return a.Is6() == six })
	}))
}

func BenchmarkChoose(b *testing.B) {
	list := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
	b.ReportAllocs()
	for seed := uint64(0); b.Loop(); seed++ {
		Choose(list, seed, netip.Addr.Is4)
	}
}
