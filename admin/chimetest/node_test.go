// Package chimetest holds the admin server against the real client of the Amazon
// Chime SDK Voice API, which signs nothing here. It is a module of its own: the
// client weighs on nobody else.
package chimetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"tandem/admin"
	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/store"
	"tandem/health"
	"tandem/router"
	"tandem/router/names"
	"tandem/router/transport"
)

// node is a client of an admin server with a store, and what is behind it.
type node struct {
	*chimesdkvoice.Client
	t       *testing.T
	addr    string
	manager *manage.Manager
	router  *router.Router
	now     int64 // on the router's clock
}

// newNode is one whose calls go by what is managed, as far as the client sees it:
// hosts are those of the last change.
func newNode(t *testing.T, change ...func(*admin.Options)) *node {
	n := &node{t: t, now: int64(time.Hour)}
	n.manager = newManager(t, n)
	var err error
	n.router, err = router.New(router.Options{
		Listeners: []router.Listener{{Addr: netip.MustParseAddrPort("127.0.0.1:5060")}, {Addr: netip.MustParseAddrPort("[::1]:5060")}},
		Secrets:   [][]byte{bytes.Repeat([]byte{1}, 32)},
		Health:    health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()}),
		Now:       n.now,
	}, router.Policy{Catalog: &catalog.Catalog{}, Failover: catalog.DefaultFailover()})
	require.NoError(t, err)
	opts := admin.Options{
		Admin: "127.0.0.1:0", Router: n.router, Manager: n.manager, Operator: nobody{}, Events: admin.NewEvents(func() int64 { return n.now }),
		Now: func() int64 { return n.now }, Log: slog.New(slog.DiscardHandler),
		Transport: func() []transport.WorkerStats { return nil }, Names: func() names.Stats { return names.Stats{} }, DNS: func() admin.DNS { return admin.DNS{} },
		Reloads: func() admin.Reloads { return admin.Reloads{} }, Detection: func() time.Duration { return 0 },
	}
	for _, f := range change {
		f(&opts)
	}
	s, err := admin.Listen(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	n.addr = "http://" + s.AdminAddr()
	n.Client = client(n.addr)
	return n
}

// client signs nothing.
func client(addr string, change ...func(*chimesdkvoice.Options)) *chimesdkvoice.Client {
	return chimesdkvoice.New(chimesdkvoice.Options{
		Region: "us-east-1", BaseEndpoint: &addr, Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
	}, change...)
}

func newManager(t *testing.T, n *node) *manage.Manager {
	kept, err := store.Open(filepath.Join(t.TempDir(), "tandem.db"), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	cfg := &config.Config{RecordRoute: true}
	m, err := manage.Open(context.Background(), manage.Options{
		Store:  kept,
		Quotas: func() inventory.Quotas { return inventory.Quotas{Groups: 3, ConnectorsPerGroup: 3} },
		Prepare: func(_ *inventory.Change, s *inventory.Snapshot) (func() error, error) {
			next, err := cfg.WithInventory(s)
			if err != nil {
				return nil, err
			}
			return func() error {
				return n.router.SetPolicy(n.now, router.Policy{Catalog: &next.Catalog, Failover: catalog.DefaultFailover()})
			}, nil
		},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return m
}

// nobody gives orders.
type nobody struct{}

func (nobody) InForce() (catalog.Orders, error) { return catalog.Orders{}, nil }
func (nobody) Change(func(*catalog.Catalog, catalog.Orders) (catalog.Orders, error)) (unsaved, err error) {
	return nil, nil
}

// refused is an error of the name and status given, whose text has all of says.
func refused(t *testing.T, err error, status int, name string, says ...string) {
	t.Helper()
	var named smithy.APIError
	require.ErrorAs(t, err, &named)
	require.Equal(t, name, named.ErrorCode())
	var response *smithyhttp.ResponseError
	require.ErrorAs(t, err, &response)
	require.Equal(t, status, response.HTTPStatusCode())
	for _, text := range says {
		require.Contains(t, named.ErrorMessage(), text)
	}
}

func token(name string) admin.Key { return admin.Key{Name: name, SHA256: sha256.Sum256([]byte(name))} }

var (
	yes = aws.Bool(true)
	no  = aws.Bool(false)
	str = aws.String
)

func item(id *string, priority int32) types.VoiceConnectorItem {
	return types.VoiceConnectorItem{VoiceConnectorId: id, Priority: &priority}
}
