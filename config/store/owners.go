package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"tandem/config/inventory"
)

// owners is the table of those who have numbers, with how many: records name
// them by their place in it, and an owner without numbers has none. No place is
// ever given twice.
type owners struct {
	byName  *bbolt.Bucket // kind and ID -> place, count
	byPlace *bbolt.Bucket // place -> kind and ID
	names   map[uint64]inventory.Owner

	last     uint64 // the place that was found last, and whose it is
	lastName inventory.Owner
}

var errOwner = fmt.Errorf("%w (an owner of numbers)", errDamaged)

func ownerKey(o inventory.Owner) []byte { return append([]byte{byte(o.Kind)}, o.ID...) }

func placeKey(place uint64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(place)) }

// name returns who has a place.
func (o *owners) name(place uint64) (inventory.Owner, error) {
	if place == o.last && place != 0 {
		return o.lastName, nil
	}
	name, ok := o.names[place]
	if !ok {
		key := o.byPlace.Get(placeKey(place))
		if len(key) == 0 || place > math.MaxUint32 {
			return inventory.Owner{}, errOwner
		}
		name = inventory.Owner{Kind: inventory.OwnerKind(key[0]), ID: string(key[1:])}
		o.names[place] = name
	}
	o.last, o.lastName = place, name
	return name, nil
}

// find returns the place and the count of an owner, zeros if it has no numbers.
func (o *owners) find(owner inventory.Owner) (place uint64, count int, err error) {
	value := o.byName.Get(ownerKey(owner))
	if value == nil {
		return 0, 0, nil
	}
	return readOwner(value)
}

func readOwner(value []byte) (place uint64, count int, err error) {
	place, n := binary.Uvarint(value)
	if n <= 0 || place == 0 {
		return 0, 0, errOwner
	}
	c, m := binary.Uvarint(value[n:])
	if m <= 0 || c == 0 || c > math.MaxInt64 {
		return 0, 0, errOwner
	}
	return place, int(c), nil
}

// counts returns how many numbers each has.
func (o *owners) counts() (map[inventory.Owner]int, error) {
	counts := make(map[inventory.Owner]int)
	err := o.byName.ForEach(func(key, value []byte) error {
		if len(key) == 0 {
			return errOwner
		}
		_, count, err := readOwner(value)
		counts[inventory.Owner{Kind: inventory.OwnerKind(key[0]), ID: string(key[1:])}] = count
		return err
	})
	return counts, err
}

// ledger is what a change does to the table.
type ledger struct {
	*owners
	next  uint64
	found map[inventory.Owner]*account
	place map[uint64]*account
}

type account struct {
	owner inventory.Owner
	place uint64
	had   int
	has   int
	edits []edit // of the list of its numbers
}

func (o *owners) ledger() *ledger {
	return &ledger{o, o.byPlace.Sequence(), make(map[inventory.Owner]*account), make(map[uint64]*account)}
}

// of returns the account of an owner, who is given a place if it has none.
func (l *ledger) of(owner inventory.Owner) (*account, error) {
	if a := l.found[owner]; a != nil {
		return a, nil
	}
	place, count, err := l.find(owner)
	if err != nil {
		return nil, err
	}
	if place == 0 {
		l.next++
		place = l.next
		if place > math.MaxUint32 {
			return nil, errors.New("the table of owners is full")
		}
	}
	a := &account{owner: owner, place: place, had: count, has: count}
	l.found[owner], l.place[place] = a, a
	return a, nil
}

// at returns the account that has a place.
func (l *ledger) at(place uint64) (*account, error) {
	if a := l.place[place]; a != nil {
		return a, nil
	}
	name, err := l.name(place)
	if err != nil {
		return nil, err
	}
	a, err := l.of(name)
	if err == nil && a.place != place {
		err = errOwner
	}
	return a, err
}

// count is how many numbers an owner has after the change.
func (l *ledger) count(owner inventory.Owner) (int, error) {
	if a := l.found[owner]; a != nil {
		return a.has, nil
	}
	_, count, err := l.find(owner)
	return count, err
}

// plan returns the writes to the table; the transaction changes by what it returns,
// and the place that was given last.
func (l *ledger) plan() (writes []write, err error) {
	for _, a := range l.found {
		switch {
		case a.has < 0:
			return nil, fmt.Errorf("%w: %d numbers", errOwner, a.has)
		case a.has == a.had:
		case a.has == 0:
			writes = append(writes, write{l.byName, ownerKey(a.owner), nil}, write{l.byPlace, placeKey(a.place), nil})
		default:
			value := binary.AppendUvarint(binary.AppendUvarint(nil, a.place), uint64(a.has))
			writes = append(writes, write{l.byName, ownerKey(a.owner), value})
			if a.had == 0 {
				writes = append(writes, write{l.byPlace, placeKey(a.place), ownerKey(a.owner)})
			}
		}
	}
	if l.next != l.byPlace.Sequence() {
		return writes, l.byPlace.SetSequence(l.next)
	}
	return writes, nil
}
