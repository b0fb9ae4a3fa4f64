package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
)

// Snapshot implements Store.
func (b *Bolt) Snapshot(ctx context.Context) (s *inventory.Snapshot, revision uint64, err error) {
	err = b.view(ctx, nil, func(t *tx) error {
		s, err = t.snapshot()
		revision = t.revision
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return s, revision, nil
}

func (t *tx) snapshot() (*inventory.Snapshot, error) {
	s := &inventory.Snapshot{Revision: t.catalog}
	var err error
	if s.Connectors, err = readAll[inventory.Connector](t.connectors); err != nil {
		return nil, err
	}
	if s.Groups, err = readAll[inventory.Group](t.groups); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.Connectors, func(a, b inventory.Connector) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s.Groups, func(a, b inventory.Group) int { return strings.Compare(a.Name, b.Name) })
	if s.Counts, err = t.owners.counts(); err != nil {
		return nil, err
	}
	return s, t.eachSpan(func(n inventory.Number) error {
		s.Spans = append(s.Spans, n)
		return nil
	})
}

// readAll decodes what stands in a bucket, by ID.
func readAll[T any](b *bbolt.Bucket) (all []T, err error) {
	err = b.ForEach(func(_, value []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// Find implements Store.
func (b *Bolt) Find(ctx context.Context, entries []catalog.Entry) (found []*inventory.Number, err error) {
	err = b.view(ctx, nil, func(t *tx) error {
		found = make([]*inventory.Number, len(entries))
		f := t.finder()
		for i, e := range entries {
			if err := b.goOn(ctx); err != nil {
				return err
			}
			n, ok, err := f.find(e)
			if err != nil {
				return err
			}
			if ok {
				found[i] = &n
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// finder looks numbers up one by one.
type finder struct {
	*tx
	exact getter
}

func (t *tx) finder() finder { return finder{t, t.numbers.getter()} }

func (f *finder) find(e catalog.Entry) (n inventory.Number, ok bool, err error) {
	var r record
	if e.Kind == catalog.Exact {
		r, ok, err = f.exact.get(e.First)
	} else {
		r, ok, err = f.span(e)
	}
	if err != nil || !ok {
		return inventory.Number{}, false, err
	}
	n, err = f.number(e, r)
	return n, err == nil, err
}

// Numbers implements Store. What it costs depends on the Limit alone.
func (b *Bolt) Numbers(ctx context.Context, q Query) (p Page, err error) {
	if q.Limit < 1 {
		return Page{}, fmt.Errorf("a page of %d numbers", q.Limit)
	}
	stretches, err := stretchesOf(q.Digits)
	if err != nil {
		return Page{}, err
	}
	err = b.view(ctx, nil, func(t *tx) error {
		p, err = t.page(q, stretches, func() error { return b.goOn(ctx) })
		return err
	})
	if err != nil {
		return Page{}, err
	}
	return p, nil
}

// stretch is numbers that follow each other.
type stretch struct{ first, last number.Key }

// stretchesOf returns where the numbers are that begin with digits, in order:
// one stretch for each count of digits.
func stretchesOf(digits string) (all []stretch, err error) {
	if digits == "" {
		return []stretch{{1, maxKey}}, nil
	}
	prefix, ok := number.Parse([]byte(digits))
	if !ok {
		return nil, fmt.Errorf(`%.40q is not the beginning of a number: an optional "+" and digits`, digits)
	}
	for form := range number.Forms {
		if first, last, ok := prefix.Numbers(form); ok {
			all = append(all, stretch{first, last})
		}
	}
	return all, nil
}

// page reads a page. The list of an owner has keys alone: what it says of them is
// looked up.
func (t *tx) page(q Query, stretches []stretch, goOn func() error) (p Page, err error) {
	exact, place := t.numbers, uint64(0)
	if q.Owner != nil {
		if place, _, err = t.owners.find(*q.Owner); err != nil || place == 0 {
			return p, err
		}
		exact = t.of(place)
	}
	f := t.finder()
	add := func(e catalog.Entry) error {
		if p.More = len(p.Numbers) == q.Limit; p.More {
			return errFull
		}
		n, ok, err := f.find(e)
		if err == nil && !ok {
			err = errIndex
		}
		if err != nil {
			return err
		}
		p.Numbers = append(p.Numbers, n)
		return goOn()
	}
	if q.After == nil || q.After.Kind == catalog.Exact {
		err = exact.page(q.After, stretches, add)
	}
	for _, kind := range []catalog.Kind{catalog.Range, catalog.Prefix} {
		if err == nil {
			err = t.spanPage(kind, place, q.After, stretches, add)
		}
	}
	if err != nil && err != errFull {
		return Page{}, err
	}
	return p, nil
}

var (
	errFull  = errors.New("the page is full") // ends a list
	errIndex = fmt.Errorf("%w (the list of an owner)", errDamaged)
)

// page calls add for the exact numbers behind after that are in stretches.
func (l list) page(after *catalog.Entry, stretches []stretch, add func(catalog.Entry) error) error {
	for _, s := range stretches {
		if after != nil {
			s.first = max(s.first, after.First+1)
		}
		if s.first > s.last {
			continue
		}
		for it, err := range l.items(s.first, s.last) {
			if err == nil {
				err = add(catalog.Entry{First: it.key})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// spanPage is the same for ranges or for prefixes.
func (t *tx) spanPage(kind catalog.Kind, place uint64, after *catalog.Entry, stretches []stretch, add func(catalog.Entry) error) error {
	for _, s := range stretches {
		from := spanKey(catalog.Entry{Kind: kind, First: s.first})
		if after != nil && after.Kind != catalog.Exact {
			behind := append(spanKey(*after), 0)
			if bytes.Compare(behind, from) > 0 {
				from = behind
			}
		}
		for e, err := range t.spanEntries(place, from) {
			if err == nil && (e.Kind != kind || e.First > s.last) {
				break
			}
			if err == nil {
				err = add(e)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Each implements Store. What is freed in the file while it runs is used again
// only after it: while f takes its time each commit lets the file grow, by 80 KB
// for one number of ten million, but none waits.
func (b *Bolt) Each(ctx context.Context, f func(inventory.Number) error) (revision uint64, err error) {
	calling := false
	err = b.view(ctx, &calling, func(t *tx) error {
		revision = t.revision
		each := func(n inventory.Number) error {
			if err := b.goOn(ctx); err != nil {
				return err
			}
			calling = true
			err := f(n)
			calling = false
			if err != nil {
				return stopped{err}
			}
			return nil
		}
		for it, err := range t.numbers.items(1, maxKey) {
			var n inventory.Number
			if err == nil {
				n, err = t.number(catalog.Entry{First: it.key}, it.record)
			}
			if err == nil {
				err = each(n)
			}
			if err != nil {
				return err
			}
		}
		return t.eachSpan(each)
	})
	return revision, err
}

// eachSpan calls f for all ranges and prefixes, in order.
func (t *tx) eachSpan(f func(inventory.Number) error) error {
	for e, err := range t.spanEntries(0, nil) {
		var r record
		var n inventory.Number
		if err == nil {
			r, _, err = t.span(e)
		}
		if err == nil {
			n, err = t.number(e, r)
		}
		if err == nil {
			err = f(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
