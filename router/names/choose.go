package names

import (
	"encoding/binary"
	"net/netip"
)

// Choose returns one of the addresses for which ok is true (nil: all of them):
// the same for the same seed and addresses, in whatever order. Seeds spread
// evenly, and when an address goes, only the seeds that led to it move
// (rendezvous hashing). found is false if ok is true for none.
//
// It is not keyed: a seed that a stranger must not steer is a keyed hash.
func Choose(addrs []netip.Addr, seed uint64, ok func(netip.Addr) bool) (chosen netip.Addr, found bool) {
	var best uint64
	for _, a := range addrs {
		if ok != nil && !ok(a) {
			continue
		}
		if w := weight(seed, a); !found || w > best || w == best && a.Less(chosen) {
			chosen, found, best = a, true, w
		}
	}
	return chosen, found
}

func weight(seed uint64, a netip.Addr) uint64 {
	b := a.As16()
	return mix(mix(seed^binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
}

// mix is one step of SplitMix64 (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
