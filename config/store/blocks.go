package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"sort"

	"go.etcd.io/bbolt"

	"tandem/config/number"
)

// A block holds numbers that follow each other: at most so many, and about so
// many bytes. More of them are cut in two. Bolt writes whole pages of 4 KB in any
// case, so a block costs a change nothing, and saves the 24 bytes or more that
// each number would take as an entry of its own.
const (
	blockItems = 128
	blockBytes = 1000
)

// list is numbers in the order of their keys, packed in blocks. A block stands
// under the prefix of the list and the key of its first number.
type list struct {
	bucket *bbolt.Bucket
	prefix []byte
}

// item is a number of a list.
type item struct {
	key number.Key
	record
}

// edit is what is to become of one number of a list.
type edit struct {
	key number.Key
	put bool   // it is to be there
	new record // as what
	had bool   // it is there now; plan fills it
	old record // as what; plan fills it
}

// write is a key of a bucket that is set, or removed if value is nil.
type write struct {
	bucket     *bbolt.Bucket
	key, value []byte
}

var errBlock = fmt.Errorf("%w (a block of numbers)", errDamaged)

func (l list) key(k number.Key) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(l.prefix)+8), l.prefix...), uint64(k))
}

// block returns the first number of the block that c stands on, 0 if it is none
// of this list.
func (l list) block(key []byte) (number.Key, error) {
	if !bytes.HasPrefix(key, l.prefix) || key == nil {
		return 0, nil
	}
	if len(key) != len(l.prefix)+8 {
		return 0, errBlock
	}
	return number.Key(binary.BigEndian.Uint64(key[len(l.prefix):])), nil
}

// seek moves c to the block in which k stands, or would: the last one that does
// not begin behind it, or the first of all. 0 means that the list is empty.
func (l list) seek(c *bbolt.Cursor, k number.Key) (first number.Key, value []byte, err error) {
	sought := l.key(k)
	at, value := c.Seek(sought)
	if !bytes.Equal(at, sought) {
		if at == nil {
			at, value = c.Last()
		} else {
			at, value = c.Prev()
		}
		if at == nil || !bytes.HasPrefix(at, l.prefix) {
			at, value = c.Seek(l.prefix)
		}
	}
	first, err = l.block(at)
	return first, value, err
}

// getter returns records of a list one by one. The block that it read last is at
// hand: most numbers are asked for in their order.
type getter struct {
	list
	cursor *bbolt.Cursor
	block  []item
}

func (l list) getter() getter {
	return getter{list: l, cursor: l.bucket.Cursor(), block: make([]item, 0, blockItems)}
}

func (g *getter) get(k number.Key) (r record, ok bool, err error) {
	if n := len(g.block); n == 0 || k < g.block[0].key || k > g.block[n-1].key {
		first, value, err := g.seek(g.cursor, k)
		g.block = g.block[:0]
		if err != nil || first == 0 || first > k {
			return record{}, false, err
		}
		if g.block, err = decodeBlock(g.block, first, value); err != nil {
			return record{}, false, err
		}
	}
	i, ok := slices.BinarySearchFunc(g.block, k, func(it item, k number.Key) int { return cmp.Compare(it.key, k) })
	if !ok {
		return record{}, false, nil
	}
	return g.block[i].record, true, nil
}

// items are the numbers from first to last, in order.
func (l list) items(first, last number.Key) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		c, buf := l.bucket.Cursor(), make([]item, 0, blockItems)
		for at, value, err := l.seek(c, first); at != 0 || err != nil; {
			if err == nil && at <= last {
				buf, err = decodeBlock(buf[:0], at, value)
			}
			if err != nil {
				yield(item{}, err)
				return
			}
			if at > last {
				return
			}
			for _, it := range buf {
				if it.key > last {
					return
				}
				if it.key >= first && !yield(it, nil) {
					return
				}
			}
			var key []byte
			key, value = c.Next()
			at, err = l.block(key)
		}
	}
}

// plan returns the writes that carry out edits, which are in order and of
// different numbers, and fills in what there is now. It changes nothing.
func (l list) plan(edits []edit) ([]write, error) {
	var (
		c           = l.bucket.Cursor()
		writes      []write
		old, merged []item
	)
	for len(edits) > 0 {
		first, value, err := l.seek(c, edits[0].key)
		if err != nil {
			return nil, err
		}
		here := len(edits)
		old = old[:0]
		if first != 0 {
			if old, err = decodeBlock(old, first, value); err != nil {
				return nil, err
			}
			key, _ := c.Next()
			next, err := l.block(key)
			if err != nil {
				return nil, err
			}
			if next != 0 {
				here = sort.Search(len(edits), func(i int) bool { return edits[i].key >= next })
			}
		}
		behind := len(old) == 0 || edits[0].key > old[len(old)-1].key
		merged = merge(merged[:0], old, edits[:here])
		writes = append(writes, l.cut(first, merged, behind)...)
		edits = edits[here:]
	}
	return writes, nil
}

// merge appends old with edits carried out to dst.
func merge(dst, old []item, edits []edit) []item {
	for i := range edits {
		e := &edits[i]
		for len(old) > 0 && old[0].key < e.key {
			dst = append(dst, old[0])
			old = old[1:]
		}
		if len(old) > 0 && old[0].key == e.key {
			e.had, e.old = true, old[0].record
			old = old[1:]
		}
		if e.put {
			dst = append(dst, item{e.key, e.new})
		}
	}
	return append(dst, old...)
}

// cut returns the writes that put items in place of the block that began with
// was, 0 for none. Blocks are filled when numbers came behind all others, as in
// an import; otherwise they are cut evenly, so that each has room.
func (l list) cut(was number.Key, items []item, fill bool) (writes []write) {
	if len(items) == 0 {
		return append(writes, write{l.bucket, l.key(was), nil})
	}
	var (
		all    []byte
		ends   = make([]int, len(items))
		before item
	)
	for i, it := range items {
		all = it.append(all, before)
		ends[i], before = len(all), it
	}
	share := blockBytes
	parts := max((len(items)+blockItems-1)/blockItems, (len(all)+blockBytes-1)/blockBytes)
	if parts > 1 && !fill {
		share = (len(all) + parts - 1) / parts
	}
	kept := was == 0
	for start, from := 0, 0; start < len(items); {
		end := start
		for end < len(items) && end-start < blockItems && (end == start || ends[end-1]-from < share) {
			end++
		}
		value := all[from:ends[end-1]]
		if start > 0 { // its first number does not lean on the one before it any more
			value = encodeBlock(items[start:end])
		}
		writes = append(writes, write{l.bucket, l.key(items[start].key), value})
		kept = kept || items[start].key == was
		start, from = end, ends[end-1]
	}
	if !kept {
		writes = append(writes, write{l.bucket, l.key(was), nil})
	}
	return writes
}
