package store

import (
	"encoding/binary"
	"time"

	"tandem/config/number"
)

// record is what the store has of a number beside its key. In the list of an
// owner's numbers it is zero.
type record struct {
	owner    uint64 // by its place in the table of owners
	revision uint64
	created  int64 // seconds since 1970
	updated  int64
}

// Which fields of a record differ from the number's before it.
const (
	otherOwner = 1 << iota
	otherRevision
	otherCreated
	otherUpdated
)

// append writes the item, knowing the one before it in its block. Numbers that
// were imported together, as most are, differ in their keys alone and take one
// or two bytes.
func (it item) append(buf []byte, before item) []byte {
	step := uint64(it.key-before.key) << 1
	if before.key == 0 {
		step = 0 // its key is the block's
	}
	if it.record == before.record {
		return binary.AppendUvarint(buf, step)
	}
	return it.record.append(binary.AppendUvarint(buf, step|1), before.record)
}

func (r record) append(buf []byte, before record) []byte {
	at := len(buf)
	buf = append(buf, 0)
	if r.owner != before.owner {
		buf[at] |= otherOwner
		buf = binary.AppendUvarint(buf, r.owner)
	}
	if r.revision != before.revision {
		buf[at] |= otherRevision
		buf = binary.AppendVarint(buf, int64(r.revision-before.revision))
	}
	if r.created != before.created {
		buf[at] |= otherCreated
		buf = binary.AppendVarint(buf, r.created-before.created)
	}
	if r.updated != before.updated {
		buf[at] |= otherUpdated
		buf = binary.AppendVarint(buf, r.updated-before.updated)
	}
	return buf
}

func encodeBlock(items []item) []byte {
	buf := make([]byte, 0, blockBytes)
	var before item
	for _, it := range items {
		buf = it.append(buf, before)
		before = it
	}
	return append(make([]byte, 0, len(buf)), buf...)
}

// decodeBlock appends the numbers of a block to dst.
func decodeBlock(dst []item, first number.Key, buf []byte) ([]item, error) {
	if len(buf) == 0 {
		return dst, errBlock
	}
	it := item{key: first}
	for start := true; len(buf) > 0; start = false {
		step, n := binary.Uvarint(buf)
		if n <= 0 || start != (step>>1 == 0) || step>>1 > uint64(maxKey-it.key) {
			return dst, errBlock
		}
		buf = buf[n:]
		it.key += number.Key(step >> 1)
		if step&1 != 0 {
			var ok bool
			if buf, ok = it.record.read(buf); !ok {
				return dst, errBlock
			}
		}
		dst = append(dst, it)
	}
	return dst, nil
}

// maxKey is above all keys.
const maxKey number.Key = 1<<number.Bits - 1

// read sets the fields that differ from what r was.
func (r *record) read(buf []byte) (rest []byte, ok bool) {
	if len(buf) == 0 || buf[0] >= otherUpdated<<1 {
		return nil, false
	}
	flags := buf[0]
	buf = buf[1:]
	if flags&otherOwner != 0 {
		v, n := binary.Uvarint(buf)
		if n <= 0 {
			return nil, false
		}
		r.owner, buf = v, buf[n:]
	}
	var by [3]int64
	for i, flag := range [...]byte{otherRevision, otherCreated, otherUpdated} {
		if flags&flag == 0 {
			continue
		}
		v, n := binary.Varint(buf)
		if n <= 0 {
			return nil, false
		}
		by[i], buf = v, buf[n:]
	}
	r.revision += uint64(by[0])
	r.created += by[1]
	r.updated += by[2]
	return buf, true
}

// at is a time of a record.
func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
