package catalog

import (
	"cmp"
	"encoding/binary"
	"slices"

	"tandem/config/number"
)

// packed is sorted entries of one kind, each as what it is more than the one
// before: a byte or two for a number of a large list.
type packed struct {
	kind Kind
	n    int
	data []byte
}

// pack sorts entries of one kind in place and returns them packed; last is nil
// but for ranges.
func pack(kind Kind, first, last []number.Key) packed {
	if kind == Range {
		sortRanges(first, last)
	} else {
		sortKeys(first)
	}
	var word [binary.MaxVarintLen64]byte
	each := func(f func(uint64)) {
		var before number.Key
		for i, k := range first {
			f(uint64(k - before))
			if before = k; kind == Range {
				f(uint64(last[i] - k))
			}
		}
	}
	size := 0
	each(func(v uint64) { size += binary.PutUvarint(word[:], v) })
	p := packed{kind: kind, n: len(first), data: make([]byte, 0, size)}
	each(func(v uint64) { p.data = binary.AppendUvarint(p.data, v) })
	return p
}

func sortRanges(first, last []number.Key) {
	ranges := make([][2]number.Key, len(first))
	for i := range first {
		ranges[i] = [2]number.Key{first[i], last[i]}
	}
	slices.SortFunc(ranges, func(a, b [2]number.Key) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	for i, r := range ranges {
		first[i], last[i] = r[0], r[1]
	}
}

// cursor stands at an entry of a packed list; the zero cursor is past the end.
type cursor struct {
	Entry
	left int // entries from here on
	data []byte
}

func (p packed) begin() cursor {
	c := cursor{Entry: Entry{Kind: p.kind}, left: p.n + 1, data: p.data}
	c.next()
	return c
}

func (c *cursor) next() {
	if c.left--; c.left <= 0 {
		return
	}
	c.First += c.word()
	if c.Kind == Range {
		c.Last = c.First + c.word()
	}
}

func (c *cursor) word() number.Key {
	v, n := binary.Uvarint(c.data)
	c.data = c.data[n:]
	return number.Key(v)
}
