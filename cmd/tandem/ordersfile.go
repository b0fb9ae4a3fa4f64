package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"tandem/config/catalog"
)

// ordersVersion is that of the form in which orders are kept.
const ordersVersion = 1

// ordersFile keeps what operators ordered, over restarts: orders.json in the
// state directory. It is for one node, and one goroutine at a time.
type ordersFile struct {
	path string
	text []byte // what was read or written last; nil: there is no file
}

// keptOrders is the file; keptOrder is one of its entries.
type keptOrders struct {
	Version int         `json:"version"`
	Orders  []keptOrder `json:"orders"`
}

type keptOrder struct {
	Kind  string    `json:"kind"` // region, connector, host
	Name  string    `json:"name"`
	State string    `json:"state"` // draining, disabled; evacuated of a region
	At    time.Time `json:"at"`
	Note  string    `json:"note,omitempty"`
}

// errOrders says that a file does not hold orders that this program can take.
var errOrders = errors.New("the orders of operators (drained, disabled, evacuated) cannot be read, and without them calls would go where they must not")

// readOrders returns the orders kept in dir. Without a file there are none; what
// is there and cannot be read is an error, since an order must never be ignored.
func readOrders(dir string) (*ordersFile, catalog.Orders, error) {
	f := &ordersFile{path: filepath.Join(dir, ordersName)}
	text, err := f.read()
	if err != nil {
		return nil, catalog.Orders{}, fmt.Errorf("%w: %w; let this user read it", errOrders, err)
	}
	f.text = text
	if text == nil {
		return f, catalog.Orders{}, nil
	}
	orders, err := parseOrders(text)
	if err != nil {
		return nil, catalog.Orders{}, fmt.Errorf("%w: %s: %w; or move the file away, start, and give the orders again", errOrders, f.path, err)
	}
	return f, orders, nil
}

// read returns what is in the file, nil when there is none.
func (f *ordersFile) read() ([]byte, error) { return readState(f.path) }

// readState returns what is in a file of the state directory, nil when there is
// none.
func readState(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if text == nil {
		text = []byte{} // there is one
	}
	return text, err
}

// parseOrders takes all of a file or nothing.
func parseOrders(text []byte) (orders catalog.Orders, err error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return orders, fmt.Errorf("it is damaged (%w): repair it, or restore it from a backup", err)
	}
	if version.Version != ordersVersion {
		return orders, fmt.Errorf("it has version %d, this program writes %d: run the one that wrote it", version.Version, ordersVersion)
	}
	var kept keptOrders
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&kept); err != nil {
		return orders, fmt.Errorf("it is damaged (%w): repair it, or restore it from a backup", err)
	}
	for i, k := range kept.Orders {
		order, err := k.order()
		if _, twice := orders.Of(order.Subject); twice && err == nil {
			err = fmt.Errorf("%s has two orders", order.Subject)
		}
		if err != nil {
			return orders, fmt.Errorf("it is damaged (orders[%d]: %w): repair it, or restore it from a backup", i, err)
		}
		orders = orders.With(order)
	}
	return orders, nil
}

func (k keptOrder) order() (catalog.Order, error) {
	for _, kind := range []catalog.SubjectKind{catalog.RegionKind, catalog.ConnectorKind, catalog.HostKind} {
		for _, state := range []catalog.State{catalog.Draining, catalog.Disabled} {
			o := catalog.Order{Subject: catalog.Subject{Kind: kind, Name: k.Name}, State: state, At: k.At, Note: k.Note}
			if kind.String() == k.Kind && o.Word() == k.State {
				return o, o.Check()
			}
		}
	}
	return catalog.Order{}, fmt.Errorf("no %q can be %q", k.Kind, k.State)
}

// write keeps orders: whole or not at all, and durably when it returns nil. A
// file that someone else wrote since stays as it is: two nodes with one state
// directory would take each other's orders away.
func (f *ordersFile) write(orders catalog.Orders) error {
	there, err := f.read()
	switch {
	case err != nil:
		return err
	case there == nil && len(orders.List()) == 0:
		f.text = nil
		return nil
	case there != nil && !bytes.Equal(there, f.text):
		return fmt.Errorf("%s was changed by someone else, and is left as it is: give each node a state_dir of its own, or move the file away to have this node's orders kept", f.path)
	}
	kept := keptOrders{Version: ordersVersion, Orders: []keptOrder{}}
	for _, o := range orders.List() {
		kept.Orders = append(kept.Orders, keptOrder{
			Kind: o.Subject.Kind.String(), Name: o.Subject.Name, State: o.Word(), At: o.At.UTC(), Note: o.Note,
		})
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	err = replaceFile(f.path, text)
	if now, _ := f.read(); bytes.Equal(now, text) {
		f.text = text // it is there, durable or not
	}
	return err
}

// replaceFile puts text at path whole or not at all, and returns when it would
// survive a loss of power.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeWhole(path, func(f *os.File) error {
		_, err := io.Copy(f, bytes.NewReader(text))
		return err
	})
}

// writeWhole has a file written at path whole or not at all, and returns when it
// would survive a loss of power.
func writeWhole(path string, write func(f *os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
