package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// Ranges and prefixes are few: each is an entry of its own, under its kind and
// keys, and once more under the place of its owner.

const spanKeyLen = 1 + 8 + 8

var errSpan = fmt.Errorf("%w (a range or prefix)", errDamaged)

func spanKey(e catalog.Entry) []byte {
	key := append(make([]byte, 0, spanKeyLen), byte(e.Kind))
	key = binary.BigEndian.AppendUint64(key, uint64(e.First))
	return binary.BigEndian.AppendUint64(key, uint64(e.Last))
}

func spanEntry(key []byte) (catalog.Entry, error) {
	if len(key) != spanKeyLen || catalog.Kind(key[0]) != catalog.Range && catalog.Kind(key[0]) != catalog.Prefix {
		return catalog.Entry{}, errSpan
	}
	return catalog.Entry{
		Kind:  catalog.Kind(key[0]),
		First: number.Key(binary.BigEndian.Uint64(key[1:])),
		Last:  number.Key(binary.BigEndian.Uint64(key[9:])),
	}, nil
}

func readSpan(value []byte) (r record, err error) {
	if rest, ok := r.read(value); !ok || len(rest) != 0 {
		return r, errSpan
	}
	return r, nil
}

// span returns the record of a range or prefix.
func (t *tx) span(e catalog.Entry) (r record, ok bool, err error) {
	value := t.spans.Get(spanKey(e))
	if value == nil {
		return record{}, false, nil
	}
	r, err = readSpan(value)
	return r, err == nil, err
}

// spanEntries are the ranges and prefixes from a key on, of one owner by its place, 0
// for all.
func (t *tx) spanEntries(place uint64, from []byte) iter.Seq2[catalog.Entry, error] {
	bucket, prefix := t.spans, []byte(nil)
	if place != 0 {
		bucket, prefix = t.ownedSpans, placeKey(place)
	}
	return func(yield func(catalog.Entry, error) bool) {
		c := bucket.Cursor()
		for key, _ := c.Seek(append(bytes.Clone(prefix), from...)); key != nil && bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			e, err := spanEntry(key[len(prefix):])
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// number returns an entry as the inventory has it.
func (t *tx) number(e catalog.Entry, r record) (inventory.Number, error) {
	owner, err := t.owners.name(r.owner)
	return inventory.Number{Entry: e, Owner: owner, Revision: r.revision, Created: at(r.created), Updated: at(r.updated)}, err
}
