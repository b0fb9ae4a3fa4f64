package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func someOrders() catalog.Orders {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return catalog.Orders{}.
		With(catalog.Order{Subject: catalog.Subject{Kind: catalog.RegionKind, Name: "us-east-1"}, State: catalog.Draining, At: at, Note: "fire, \"drill\" 東"}).
		With(catalog.Order{Subject: catalog.Subject{Kind: catalog.ConnectorKind, Name: "support east"}, State: catalog.Disabled, At: at}).
		With(catalog.Order{Subject: catalog.HostSubject(netip.MustParseAddrPort("[2001:db8::1]:5060"), catalog.UDP), State: catalog.Draining, At: at.Add(time.Hour)})
}

const someOrdersKept = `{
  "version": 1,
  "orders": [
    {
      "kind": "region",
      "name": "us-east-1",
      "state": "evacuated",
      "at": "2026-11-23T10:00:00Z",
      "note": "fire, \"drill\" 東"
    },
    {
      "kind": "connector",
      "name": "support east",
      "state": "disabled",
      "at": "2026-11-23T10:00:00Z"
    },
    {
      "kind": "host",
      "name": "[2001:db8::1]:5060",
      "state": "draining",
      "at": "2026-11-23T11:00:00Z"
    }
  ]
}
`

func TestOrdersFileKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state") // which is not there yet
	f, orders, err := readOrders(dir)
	require.NoError(t, err)
	require.Empty(t, orders.List())
	require.NoError(t, f.write(orders))
	require.NoDirExists(t, dir, "there was nothing to keep")

	require.NoError(t, f.write(someOrders()))
	text, err := os.ReadFile(filepath.Join(dir, "orders.json"))
	require.NoError(t, err)
	require.Equal(t, someOrdersKept, string(text))
	info, err := os.Stat(filepath.Join(dir, "orders.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, orders, err := readOrders(dir)
	require.NoError(t, err)
	require.True(t, someOrders().Equal(orders))
	require.NoError(t, again.write(catalog.Orders{}))
	_, orders, err = readOrders(dir)
	require.NoError(t, err)
	require.Empty(t, orders.List())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")
}

// Nothing that was stored is ignored: a node that cannot take all of it does not
// start, and says what to do.
func TestOrdersFileThatCannotBeTaken(t *testing.T) {
	one := func(entry string) string { return `{"version": 1, "orders": [` + entry + `]}` }
	const good = `{"kind": "connector", "name": "east", "state": "draining", "at": "2026-11-23T10:00:00Z"}`
	_, err := parseOrders([]byte(one(good)))
	require.NoError(t, err)
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "it is damaged (unexpected end of JSON input): repair it, or restore it from a backup"},
		"NUL":           {strings.Repeat("\x00", 100), "it is damaged"},
		"half of it":    {someOrdersKept[:len(someOrdersKept)/2], "it is damaged"},
		"more behind":   {someOrdersKept + "{}", "it is damaged"},
		"null":          {"null", "it has version 0, this program writes 1"},
		"no version":    {`{"orders": []}`, "it has version 0, this program writes 1"},
		"newer":         {`{"version": 2, "anything": 1}`, "it has version 2, this program writes 1: run the one that wrote it"},
		"unknown field": {`{"version": 1, "order": []}`, `unknown field "order"`},
		"of an entry":   {one(strings.Replace(good, `"at"`, `"until": 1, "at"`, 1)), `unknown field "until"`},
		"kind":          {one(strings.Replace(good, "connector", "group", 1)), `orders[0]: no "group" can be "draining"`},
		"state":         {one(strings.Replace(good, "draining", "enabled", 1)), `orders[0]: no "connector" can be "enabled"`},
		"evacuated":     {one(strings.Replace(good, "draining", "evacuated", 1)), `no "connector" can be "evacuated"`},
		"name":          {one(strings.Replace(good, "east", "", 1)), `orders[0]: "" is not the name of a connector`},
		"time":          {one(strings.Replace(good, "2026-11-23T10:00:00Z", "yesterday", 1)), "it is damaged"},
		"no time":       {one(`{"kind": "connector", "name": "east", "state": "draining"}`), "the order has no time"},
		"twice":         {one(good + "," + good), "orders[1]: connector east has two orders"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t, newSIPSocket(t).addr())
			path := filepath.Join(cfg.StateDir, "orders.json")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			_, err := newNode(cfg, quiet)
			require.ErrorIs(t, err, errOrders)
			require.ErrorContains(t, err, path+": it ")
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "or move the file away, start, and give the orders again")
			kept, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, c.text, string(kept), "it is not touched")
		})
	}
}

func TestOrdersFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "orders.json"), 0o700))
	_, _, err := readOrders(dir)
	require.ErrorIs(t, err, errOrders)
	require.ErrorContains(t, err, filepath.Join(dir, "orders.json"))
}

func TestOrdersFileWithoutADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	f, orders, err := readOrders(filepath.Join(file, "state"))
	require.NoError(t, err)
	require.Empty(t, orders.List())
	require.Error(t, f.write(someOrders()))
	require.NoError(t, f.write(catalog.Orders{}), "nothing to keep")
}

// Two nodes with one state directory would take each other's orders away.
func TestOrdersFileOfAnotherNode(t *testing.T) {
	dir := t.TempDir()
	mine, _, err := readOrders(dir)
	require.NoError(t, err)
	theirs, _, err := readOrders(dir)
	require.NoError(t, err)
	require.NoError(t, theirs.write(someOrders()))
	err = mine.write(catalog.Orders{}.With(someOrders().List()[0]))
	require.ErrorContains(t, err, filepath.Join(dir, "orders.json")+" was changed by someone else, and is left as it is")
	require.Error(t, mine.write(catalog.Orders{}))
	_, orders, err := readOrders(dir)
	require.NoError(t, err)
	require.True(t, someOrders().Equal(orders))

	require.NoError(t, os.Remove(filepath.Join(dir, "orders.json")))
	require.NoError(t, mine.write(catalog.Orders{}.With(someOrders().List()[0])), "as the error says")
}
