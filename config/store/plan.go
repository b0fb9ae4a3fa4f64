package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// plan checks a change and returns what has to be written. Its After have the
// revision that the commit will be.
func (t *tx) plan(c inventory.Change) ([]write, error) {
	if c.Catalog != t.catalog {
		return nil, ErrConflict
	}
	revision := t.revision + 1
	writes := []write{{t.meta, revisionName, eightBytes(revision)}}
	named, err := t.planNamed(c)
	if err != nil {
		return nil, err
	}
	writes = append(writes, named...)

	l := t.owners.ledger()
	numbers, spans, err := t.planNumbers(c.Numbers, l)
	if err != nil {
		return nil, err
	}
	writes = append(writes, numbers...)
	if spans || len(named) > 0 {
		writes = append(writes, write{t.meta, catalogName, eightBytes(revision)})
	}

	for _, o := range c.Empty {
		n, err := l.count(o)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, ErrConflict
		}
	}
	table, err := l.plan()
	if err != nil {
		return nil, err
	}
	return append(writes, table...), nil
}

// planNamed plans the connectors and groups.
func (t *tx) planNamed(c inventory.Change) (writes []write, err error) {
	connectors, groups := make([]named, len(c.Connectors)), make([]named, len(c.Groups))
	for i, ch := range c.Connectors {
		if ch.Before != nil {
			connectors[i].before = &ch.Before.Meta
		}
		if ch.After != nil {
			connectors[i].after, connectors[i].whole = &ch.After.Meta, ch.After
		}
	}
	for i, ch := range c.Groups {
		if ch.Before != nil {
			groups[i].before = &ch.Before.Meta
		}
		if ch.After != nil {
			groups[i].after, groups[i].whole = &ch.After.Meta, ch.After
		}
	}
	if writes, err = planEach(t.connectors, connectors, "connector"); err != nil {
		return nil, err
	}
	more, err := planEach(t.groups, groups, "group")
	return append(writes, more...), err
}

// named is the change of a connector or a group.
type named struct {
	before, after *inventory.Meta
	whole         any // what after is of
}

func planEach(bucket *bbolt.Bucket, changes []named, what string) (writes []write, err error) {
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		id, err := c.id()
		if err != nil || seen[id] {
			return nil, fmt.Errorf("the change has a %s twice, without an ID, or that is none: %q", what, id)
		}
		seen[id] = true
		var now struct{ inventory.Meta }
		stands := bucket.Get([]byte(id))
		if stands != nil {
			if err := json.Unmarshal(stands, &now); err != nil {
				return nil, fmt.Errorf("%w (%s %q: %w)", errDamaged, what, id, err)
			}
		}
		if (c.before == nil) != (stands == nil) || c.before != nil && c.before.Revision != now.Revision {
			return nil, ErrConflict
		}
		w := write{bucket: bucket, key: []byte(id)}
		if c.after != nil {
			if w.value, err = encode(c.whole); err != nil {
				return nil, fmt.Errorf("%s %q: %w", what, id, err)
			}
		}
		writes = append(writes, w)
	}
	return writes, nil
}

// id returns whose change it is.
func (n named) id() (string, error) {
	one := n.before
	if one == nil {
		one = n.after
	}
	if one == nil || one.ID == "" || n.after != nil && n.after.ID != one.ID {
		return "", errSenseless
	}
	return one.ID, nil
}

var errSenseless = errors.New("the change is not of one thing")

// encode writes v as JSON and leaves what it has of JSON as it is.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// planNumbers plans the numbers, in the lists of their owners too; spans is
// whether there are ranges or prefixes among them.
func (t *tx) planNumbers(changes []inventory.NumberChange, l *ledger) (writes []write, spans bool, err error) {
	sorted := slices.Clone(changes)
	for _, c := range sorted {
		if err := checkNumber(c); err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(sorted, func(a, b inventory.NumberChange) int { return compareEntries(entryOf(a), entryOf(b)) })
	edits := make([]edit, 0, len(sorted))
	for i, c := range sorted {
		e := entryOf(c)
		if i > 0 && e == entryOf(sorted[i-1]) {
			return nil, false, fmt.Errorf("the change has %s twice", e)
		}
		r, err := recordOf(c.After, l)
		if err != nil {
			return nil, false, err
		}
		if e.Kind == catalog.Exact {
			edits = append(edits, edit{key: e.First, put: c.After != nil, new: r})
			continue
		}
		spans = true
		old, had, err := t.span(e)
		if err != nil {
			return nil, false, err
		}
		if err := compare(c.Before, old, had); err != nil {
			return nil, false, err
		}
		w := write{bucket: t.spans, key: spanKey(e)}
		if c.After != nil {
			w.value = r.append(nil, record{})
		}
		writes = append(writes, w)
		if had {
			a, err := l.at(old.owner)
			if err != nil {
				return nil, false, err
			}
			a.has--
			writes = append(writes, write{t.ownedSpans, append(placeKey(old.owner), w.key...), nil})
		}
		if c.After != nil {
			l.place[r.owner].has++
			writes = append(writes, write{t.ownedSpans, append(placeKey(r.owner), w.key...), []byte{}})
		}
	}
	exact, err := t.planExact(sorted[:len(edits)], edits, l)
	return append(writes, exact...), spans, err
}

// planExact plans the exact numbers, whose changes and edits are in order.
func (t *tx) planExact(changes []inventory.NumberChange, edits []edit, l *ledger) ([]write, error) {
	writes, err := t.numbers.plan(edits)
	if err != nil {
		return nil, err
	}
	for i := range edits {
		e := &edits[i]
		if err := compare(changes[i].Before, e.old, e.had); err != nil {
			return nil, err
		}
		if e.had && e.put && e.old.owner == e.new.owner {
			continue
		}
		if e.had {
			a, err := l.at(e.old.owner)
			if err != nil {
				return nil, err
			}
			a.has--
			a.edits = append(a.edits, edit{key: e.key})
		}
		if e.put {
			a := l.place[e.new.owner]
			a.has++
			a.edits = append(a.edits, edit{key: e.key, put: true})
		}
	}
	for _, a := range l.found {
		owned, err := t.of(a.place).plan(a.edits)
		if err != nil {
			return nil, err
		}
		for i := range a.edits {
			if a.edits[i].had == a.edits[i].put {
				return nil, errIndex
			}
		}
		writes = append(writes, owned...)
	}
	return writes, nil
}

// compare says whether a number is as a decision was made by.
func compare(before *inventory.Number, old record, had bool) error {
	if had != (before != nil) || had && before.Revision != old.revision {
		return ErrConflict
	}
	return nil
}

func checkNumber(c inventory.NumberChange) error {
	if c.Before == nil && c.After == nil || c.Before != nil && c.After != nil && c.Before.Entry != c.After.Entry {
		return errSenseless
	}
	e := entryOf(c)
	if e.Kind > catalog.Prefix || !isNumber(e.First) || (e.Kind == catalog.Range) != isNumber(e.Last) || e.Kind != catalog.Range && e.Last != 0 {
		return fmt.Errorf("the change has a number that is none: %+v", e)
	}
	return nil
}

// isNumber is whether k is the key of a number.
func isNumber(k number.Key) bool {
	digits := 0
	for ; k > 9; k /= 10 {
		digits++
	}
	return digits >= 1 && digits <= number.MaxDigits && (k == number.Empty || k == number.Plus)
}

func entryOf(c inventory.NumberChange) catalog.Entry {
	if c.After != nil {
		return c.After.Entry
	}
	return c.Before.Entry
}

// compareEntries orders entries as Store does.
func compareEntries(a, b catalog.Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

func recordOf(n *inventory.Number, l *ledger) (record, error) {
	if n == nil {
		return record{}, nil
	}
	a, err := l.of(n.Owner)
	if err != nil {
		return record{}, err
	}
	return record{a.place, n.Revision, n.Created.Unix(), n.Updated.Unix()}, nil
}
