package chimetest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	"github.com/stretchr/testify/require"

	"tandem/bench/load"
	bench "tandem/bench/node"
)

const patience = 10 * time.Second

// The addresses of the walk: its own, on loopback.
var (
	proxyAddr  = netip.MustParseAddrPort("127.92.0.1:5060")
	callerAddr = netip.MustParseAddrPort("127.92.0.2:0")
	adminAddr  = "127.92.0.1:8080"
	hosts      = []netip.AddrPort{netip.MustParseAddrPort("127.92.0.11:5060"), netip.MustParseAddrPort("127.92.0.12:5060"), netip.MustParseAddrPort("127.92.0.13:5060")}
)

// walk is a node that runs, calls that never end while it is managed, and the
// client that does so.
type walk struct {
	*node
	mu      sync.Mutex
	begun   int         // calls
	reached map[int]int // by call, the connector that it came to
	more    chan struct{}
}

// busy is the number that all calls go to.
const busy = "+15550000001"

// newWalk starts the node. Calls begin with start.
func newWalk(t *testing.T) *walk {
	dir := t.TempDir()
	binary, err := bench.Build(dir)
	require.NoError(t, err)
	path := filepath.Join(dir, "tandem.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "listen: [udp://%s]\nadmin: {listen: %q}\nstate_dir: %s\nstore: {path: tandem.db}\ntrunks: [{name: load, sources: [127.0.0.0/8]}]\n",
		proxyAddr, adminAddr, dir), 0o600))
	n, err := bench.Start(binary, path, -1)
	require.NoError(t, err)
	t.Cleanup(func() {
		n.Stop()
		if t.Failed() {
			t.Log(n.Log())
		}
	})
	_, err = n.Wait(0, patience, "serving")
	require.NoError(t, err)
	addr := "http://" + adminAddr
	return &walk{node: &node{Client: client(addr), t: t, addr: addr}, reached: make(map[int]int), more: make(chan struct{})}
}

// start has calls come from now on, until the test ends: then none of them has
// failed.
func (w *walk) start(rate float64) {
	t := w.t
	g, err := load.New(load.Config{
		Proxy: proxyAddr, From: callerAddr, Connectors: hosts,
		Number: func(int) []byte {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.begun++
			return []byte(busy)
		},
		Reached: func(call, connector int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reached[call] = connector
			close(w.more)
			w.more = make(chan struct{})
		},
	})
	require.NoError(t, err)
	window := g.Window("walk")
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- g.Run(ctx, rate, 0) }()
	t.Cleanup(func() {
		defer g.Close()
		cancel()
		require.NoError(t, <-ran)
		r := window.Report()
		t.Logf("%d calls, %d failed", r.Counts[load.Begun], r.Counts[load.Failed])
		require.NotZero(t, r.Counts[load.Begun])
		require.Zero(t, r.Counts[load.Failed])
	})
}

// leads waits for the call that begins next, and some more, and is where they came
// to.
func (w *walk) leads(connector int, why string) {
	w.t.Helper()
	w.mu.Lock()
	next := w.begun
	last := next + 19
	w.mu.Unlock()
	limit := time.After(patience)
	for next <= last {
		w.mu.Lock()
		is, ok := w.reached[next]
		more := w.more
		w.mu.Unlock()
		if ok {
			require.Equal(w.t, connector, is, why)
			next++
			continue
		}
		select {
		case <-more:
		case <-limit:
			require.Fail(w.t, "no call came out", why)
		}
	}
}

// All that groups, connectors and numbers are managed by, with calls running the
// whole time: none fails, and each change is seen by the next call.
func TestWalk(t *testing.T) {
	w, ctx := newWalk(t), t.Context()
	regions := []types.VoiceConnectorAwsRegion{types.VoiceConnectorAwsRegionUsEast1, types.VoiceConnectorAwsRegionUsWest2, types.VoiceConnectorAwsRegionEuCentral1}
	var ids []*string
	for i, name := range []string{"east", "west", "central"} {
		id := w.connector(name, regions[i])
		host, port := hosts[i].Addr().String(), int32(hosts[i].Port())
		_, err := w.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: id, Origination: &types.Origination{
			Routes: []types.OriginationRoute{{Host: &host, Port: &port, Protocol: types.OriginationRouteProtocolUdp}},
		}})
		require.NoError(t, err)
		ids = append(ids, id)
	}
	east, west, central := ids[0], ids[1], ids[2]
	support := w.group("support", item(east, 1)).VoiceConnectorGroupId
	require.Equal(t, types.PhoneNumberOrderStatusSuccessful, w.order(busy, "+15550000002", "+15550000003").Status)
	require.Empty(t, w.toGroup(support, nil, busy, "+15550000002"))
	w.start(500)
	w.leads(0, "a new group")

	update := func(group *string, name string, items ...types.VoiceConnectorItem) error {
		_, err := w.UpdateVoiceConnectorGroup(ctx, &chimesdkvoice.UpdateVoiceConnectorGroupInput{VoiceConnectorGroupId: group, Name: &name, VoiceConnectorItems: items})
		return err
	}
	require.NoError(t, update(support, "help desk", item(east, 1)))
	w.leads(0, "renamed")
	require.NoError(t, update(support, "help desk", item(east, 2), item(west, 1)))
	w.leads(1, "a connector added, before the other")
	require.NoError(t, update(support, "help desk", item(east, 1), item(west, 2)))
	w.leads(0, "another ranking")
	refused(t, update(support, "help desk", item(east, 1), item(west, 1)), 400, "BadRequestException", "priority")
	require.NoError(t, update(support, "help desk", item(west, 1)))
	w.leads(1, "a connector removed")

	sales := w.group("sales", item(central, 1)).VoiceConnectorGroupId
	taken := w.toGroup(sales, no, busy)
	require.Equal(t, types.ErrorCodeConflict, taken[0].ErrorCode)
	w.leads(1, "refused: it belongs to another group")
	require.Empty(t, w.toGroup(sales, yes, busy))
	w.leads(2, "reassigned to another group")
	require.Empty(t, w.toConnector(east, yes, busy))
	w.leads(0, "reassigned to a connector")
	require.Empty(t, w.toGroup(support, yes, busy))
	w.leads(1, "and to a group again")

	// A number of a connector falls back on the rest of the connector's group.
	require.NoError(t, update(support, "help desk", item(west, 1), item(east, 2)))
	require.Empty(t, w.toConnector(east, yes, busy))
	w.leads(0, "the connector itself first")
	_, err := w.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: east, Origination: &types.Origination{Disabled: yes}})
	require.NoError(t, err)
	w.leads(1, "the connector is disabled")
	_, err = w.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: east, Origination: &types.Origination{Disabled: no}})
	require.NoError(t, err)
	w.leads(0, "and enabled again")

	// What cannot be done is refused, and changes nothing.
	_, err = w.DeleteVoiceConnectorGroup(ctx, &chimesdkvoice.DeleteVoiceConnectorGroupInput{VoiceConnectorGroupId: support})
	refused(t, err, 409, "ConflictException", "has 2 connectors")
	_, err = w.DeleteVoiceConnector(ctx, &chimesdkvoice.DeleteVoiceConnectorInput{VoiceConnectorId: east})
	refused(t, err, 409, "ConflictException", "help desk")
	_, err = w.DeletePhoneNumber(ctx, &chimesdkvoice.DeletePhoneNumberInput{PhoneNumberId: str(busy)})
	refused(t, err, 409, "ConflictException", "unassign it first")
	w.group("third")
	_, err = w.CreateVoiceConnectorGroup(ctx, &chimesdkvoice.CreateVoiceConnectorGroupInput{Name: str("fourth")})
	refused(t, err, 400, "ResourceLimitExceededException")
	w.leads(0, "after all refusals")

	// An empty group goes; its number went first.
	out, err := w.DisassociatePhoneNumbersFromVoiceConnectorGroup(ctx, &chimesdkvoice.DisassociatePhoneNumbersFromVoiceConnectorGroupInput{VoiceConnectorGroupId: support, E164PhoneNumbers: []string{"+15550000002"}})
	require.NoError(t, err)
	require.Empty(t, out.PhoneNumberErrors)
	refused(t, update(sales, "sales", item(central, 1), item(east, 2)), 409, "ConflictException", "1 number of its own")
	_, err = w.UpdateVoiceConnectorGroup(ctx, &chimesdkvoice.UpdateVoiceConnectorGroupInput{VoiceConnectorGroupId: support, Name: str("help desk"), VoiceConnectorItems: []types.VoiceConnectorItem{}})
	require.NoError(t, err)
	_, err = w.DeleteVoiceConnectorGroup(ctx, &chimesdkvoice.DeleteVoiceConnectorGroupInput{VoiceConnectorGroupId: support})
	require.NoError(t, err)
	w.leads(0, "its former group is gone")
	_, err = w.DeletePhoneNumber(ctx, &chimesdkvoice.DeletePhoneNumberInput{PhoneNumberId: str("+15550000002")})
	require.NoError(t, err)
}
