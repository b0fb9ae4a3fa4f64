package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"

	"go.etcd.io/bbolt"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// Info is what a store has.
type Info struct {
	Schema     uint64 // the version of its contents
	Revision   uint64 // of its last commit
	Connectors int
	Groups     int
	Numbers    int // entries
}

// Verify looks at all that is in a store, or a backup of one, that no process has
// open: an error says that it cannot be used. Open looks through the pages of a
// file; this reads what is on them too, and holds the numbers against the lists and
// counts of their owners.
func Verify(path string) (Info, error) {
	f, err := openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return Info{}, err
	}
	var info Info
	if info.Schema, err = identify(f); err == nil {
		err = currentSchema.accepts(info.Schema)
	}
	if err == nil {
		err = checkSum(f)
	}
	if err != nil {
		return Info{}, errors.Join(refused(path, err), f.Close())
	}
	err = guarded(nil, func() error {
		db, err := bbolt.Open(path, 0, &bbolt.Options{
			ReadOnly: true,
			Timeout:  Options{}.lockTimeout(),
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		if err != nil {
			return err
		}
		return errors.Join(db.View(info.verify), db.Close())
	})
	if err != nil {
		_ = f.Close() // closed already unless bolt panicked
		return Info{}, refused(path, err)
	}
	return info, nil
}

// verify reads everything.
func (i *Info) verify(t *bbolt.Tx) error {
	var wrong error
	for err := range t.Check() { // all of them, or it never ends
		if wrong == nil {
			wrong = fmt.Errorf("%w (%v)", errDamaged, err)
		}
	}
	if wrong != nil || i.Schema != currentSchema.version {
		return wrong
	}
	x, err := newTx(t)
	if err != nil {
		return err
	}
	i.Revision = x.revision
	if i.Connectors, err = verifyNamed[inventory.Connector](x.connectors, func(c inventory.Connector) string { return c.ID }); err != nil {
		return err
	}
	if i.Groups, err = verifyNamed[inventory.Group](x.groups, func(g inventory.Group) string { return g.ID }); err != nil {
		return err
	}
	return i.verifyNumbers(x)
}

func verifyNamed[T any](b *bbolt.Bucket, id func(T) string) (n int, err error) {
	return n, b.ForEach(func(key, value []byte) error {
		n++
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("%w (%q: %w)", errDamaged, key, err)
		}
		if id(v) != string(key) {
			return fmt.Errorf("%w (%q is %q)", errDamaged, key, id(v))
		}
		return nil
	})
}

// tally is numbers, whatever their order.
type tally struct {
	count int
	mix   uint64
}

func (t *tally) add(e catalog.Entry) {
	t.count++
	h, l := bits.Mul64(uint64(e.First)^0x9e3779b97f4a7c15, uint64(e.Last)<<8^uint64(e.Kind)^0xd6e8feb86659fd93)
	t.mix += h ^ l
}

// verifyNumbers holds the numbers against the lists and counts of their owners.
func (i *Info) verifyNumbers(x *tx) error {
	all := make(map[uint64]*tally)
	add := func(e catalog.Entry, r record) error {
		i.Numbers++
		if all[r.owner] == nil {
			all[r.owner] = new(tally)
		}
		all[r.owner].add(e)
		if r.revision > x.revision {
			return fmt.Errorf("%w (%s is of revision %d, the store of %d)", errDamaged, e, r.revision, x.revision)
		}
		return nil
	}
	before := item{}
	for it, err := range x.numbers.items(1, maxKey) {
		if err == nil && it.key <= before.key {
			err = errBlock
		}
		if err == nil {
			err = add(catalog.Entry{First: it.key}, it.record)
		}
		if err != nil {
			return err
		}
		before = it
	}
	for e, err := range x.spanEntries(0, nil) {
		var r record
		if err == nil {
			r, _, err = x.span(e)
		}
		if err == nil {
			err = add(e, r)
		}
		if err != nil {
			return err
		}
	}
	counts, err := x.owners.counts()
	if err != nil {
		return err
	}
	if len(counts) != len(all) {
		return fmt.Errorf("%w (%d owners have numbers, %d are counted)", errDamaged, len(all), len(counts))
	}
	for place, has := range all {
		name, err := x.owners.name(place)
		if err != nil {
			return err
		}
		if own, _, err := x.owners.find(name); err != nil || own != place || counts[name] != has.count {
			return fmt.Errorf("%w (%+v has %d numbers, %d are counted)", errDamaged, name, has.count, counts[name])
		}
		var listed tally
		for it, err := range x.of(place).items(1, maxKey) {
			if err != nil {
				return err
			}
			listed.add(catalog.Entry{First: it.key})
		}
		for e, err := range x.spanEntries(place, nil) {
			if err != nil {
				return err
			}
			listed.add(e)
		}
		if listed != *has {
			return fmt.Errorf("%w (the list of %+v is not of its numbers)", errDamaged, name)
		}
	}
	return nil
}
