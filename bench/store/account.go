package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"tandem/bench/plan"
	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/number"
	"tandem/config/store"
)

// owner is whom numbers belong to here.
type owner uint8

const (
	first  owner = iota // a group, east before west: six tenths of all numbers
	second              // a group, west before east: three tenths
	third               // a group, west before east, without numbers: some are moved there
	few                 // a connector with three numbers of its own
	nobody              // the rest are unassigned
)

var ownerNames = [...]string{"first", "second", "third", "few"}

// Connectors, by their place in load.Config.
const (
	east = iota
	west
	fewOwn
)

var connectorNames = [...]string{"east", "west", "few"}

// leads is the connector that calls to an owner come out at, as the store is
// filled.
var leads = [...]int{first: east, second: west, third: west, few: fewOwn}

const (
	fewNumbers   = 3
	leastNumbers = 2 * plan.Block
)

// ownerOf is whom number i of count belongs to in a store that was just filled.
func ownerOf(i, count int) owner {
	switch {
	case i < count/10*6:
		return first
	case i < count/10*9:
		return second
	case i >= count-fewNumbers && i < count:
		return few
	}
	return nobody
}

// filling is what it took to fill a store.
type filling struct {
	took    time.Duration
	commits []time.Duration
	size    int64 // of the file, in bytes
}

// filler puts numbers into a store, as importing them does.
type filler struct {
	*store.Bolt
	snapshot *inventory.Snapshot
	filling
}

func fill(ctx context.Context, path string, count int) (filling, error) {
	began := time.Now()
	b, err := store.Open(path, store.Options{})
	if err != nil {
		return filling{}, err
	}
	f := &filler{Bolt: b}
	if err := f.fill(ctx, count); err != nil {
		_ = b.Close()
		return filling{}, err
	}
	if err := b.Close(); err != nil {
		return filling{}, err
	}
	f.took = time.Since(began)
	info, err := os.Stat(path)
	if err != nil {
		return filling{}, err
	}
	f.size = info.Size()
	return f.filling, nil
}

func (f *filler) fill(ctx context.Context, count int) (err error) {
	if f.snapshot, _, err = f.Snapshot(ctx); err != nil {
		return err
	}
	if err := f.fillCatalog(ctx); err != nil {
		return err
	}
	for from := 0; from < count; {
		to := min(from+plan.Block, count)
		for o := ownerOf(from, count); ownerOf(to-1, count) != o; { // a page has one owner
			to--
		}
		if err := f.add(ctx, from, to, ownerOf(from, count)); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (f *filler) fillCatalog(ctx context.Context) error {
	for i, name := range connectorNames {
		spec := inventory.ConnectorSpec{Name: name, Region: name, Hosts: []inventory.HostSpec{{URI: "sip:" + connectors[i].String()}}}
		if err := f.edit(ctx, func(e *inventory.Editor) (inventory.Change, error) { return e.CreateConnector(spec) }); err != nil {
			return err
		}
	}
	for o, name := range ownerNames[:few] {
		members := []inventory.Member{{Connector: connectorNames[leads[o]], Priority: 1}, {Connector: connectorNames[east+west-leads[o]], Priority: 2}}
		spec := inventory.GroupSpec{Name: name, Connectors: members}
		if err := f.edit(ctx, func(e *inventory.Editor) (inventory.Change, error) { return e.CreateGroup(spec) }); err != nil {
			return err
		}
	}
	return nil
}

// add adds numbers, none of which is there.
func (f *filler) add(ctx context.Context, from, to int, o owner) error {
	var belongs inventory.Owner
	switch o {
	case nobody:
	case few:
		c, err := f.snapshot.Connector(ownerNames[o])
		if err != nil {
			return err
		}
		belongs = inventory.Owner{Kind: inventory.ConnectorOwner, ID: c.ID}
	default:
		g, err := f.snapshot.Group(ownerNames[o])
		if err != nil {
			return err
		}
		belongs = inventory.Owner{Kind: inventory.GroupOwner, ID: g.ID}
	}
	found, buf := make([]inventory.Found, to-from), []byte(nil)
	for i := range found {
		buf = plan.Append(buf[:0], from+i)
		key, _ := number.Parse(buf)
		found[i].Entry = catalog.Entry{First: key}
	}
	return f.edit(ctx, func(e *inventory.Editor) (inventory.Change, error) {
		change, refused, err := e.AddNumbers(found, belongs)
		if len(refused) > 0 {
			err = fmt.Errorf("%s: %w", refused[0].Entry, refused[0].Refusal)
		}
		return change, err
	})
}

// edit decides a change and commits it.
func (f *filler) edit(ctx context.Context, op func(*inventory.Editor) (inventory.Change, error)) error {
	change, err := op(&inventory.Editor{Snapshot: f.snapshot, Now: time.Now()})
	if err != nil {
		return err
	}
	began := time.Now()
	revision, err := f.Commit(ctx, change)
	if err != nil {
		return err
	}
	f.commits = append(f.commits, time.Since(began))
	f.snapshot = f.snapshot.With(change, revision)
	return nil
}

// lastBlock is the first number of the block with the highest numbers.
func lastBlock(count int) int {
	blocks := make([]int, count/plan.Block)
	for i := range blocks {
		blocks[i] = i * plan.Block
	}
	return slices.MaxFunc(blocks, func(a, b int) int { return slices.Compare(plan.Append(nil, a), plan.Append(nil, b)) })
}

// texts are numbers as they are written.
func texts(from, to int) []string {
	all := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		all = append(all, string(plan.Append(nil, i)))
	}
	return all
}
