// Command sipgoproxy is a proxy as a Go developer would write it with sipgo,
// after the example in sipgo's own repository (example/proxysip): INVITE and
// BYE with transactions, record-routed, 100 at once, everything to one
// connector. It has no table of numbers, no failover and no probes, so it does
// less than the proxies it stands beside.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:5060", "the address to listen at")
	connector := flag.String("connector", "127.0.0.1:5080", "where calls go")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	sip.UDPMTUSize = 65535 // loopback has no smaller one, and its peers do not look at it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, *connector); err != nil && ctx.Err() == nil {
		log.Fatal("sipgoproxy: ", err)
	}
}

func serve(ctx context.Context, listen, connector string) error {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	ua, err := sipgo.NewUA()
	if err != nil {
		return err
	}
	defer func() { _ = ua.Close() }()
	server, err := sipgo.NewServer(ua)
	if err != nil {
		return err
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientHostname(host), sipgo.WithClientPort(port), sipgo.WithClientConnectionAddr(listen))
	if err != nil {
		return err
	}
	p := &proxy{client, connector}
	server.OnInvite(p.invite)
	server.OnAck(p.ack)
	server.OnBye(p.bye)
	server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) { reply(req, tx, sip.StatusOK, "OK") })
	return server.ListenAndServe(ctx, "udp", listen)
}

type proxy struct {
	client    *sipgo.Client
	connector string
}

func (p *proxy) invite(req *sip.Request, tx sip.ServerTransaction) {
	reply(req, tx, sip.StatusTrying, "Trying")
	p.relay(req, tx, sipgo.ClientRequestAddVia, sipgo.ClientRequestAddRecordRoute, sipgo.ClientRequestDecreaseMaxForward)
}

func (p *proxy) bye(req *sip.Request, tx sip.ServerTransaction) {
	req.RemoveHeader("Route") // the first one: ours
	p.relay(req, tx, sipgo.ClientRequestAddVia, sipgo.ClientRequestDecreaseMaxForward)
}

// relay sends a request on in a transaction of its own, and what is answered
// back.
func (p *proxy) relay(req *sip.Request, tx sip.ServerTransaction, options ...sipgo.ClientRequestOption) {
	source := req.Source()
	req.SetDestination(p.connector)
	to, err := p.client.TransactionRequest(context.Background(), req, options...)
	if err != nil {
		slog.Error("no transaction", "error", err)
		reply(req, tx, sip.StatusInternalServerError, "Server Internal Error")
		return
	}
	defer to.Terminate()
	for {
		select {
		case res, more := <-to.Responses():
			if !more {
				return
			}
			if res.StatusCode == sip.StatusTrying {
				continue // RFC 3261 16.7 step 5: ours has been sent
			}
			res.SetDestination(source)
			res.RemoveHeader("Via") // the first one: ours
			if err := tx.Respond(res); err != nil {
				slog.Error("no response", "error", err)
			}
			if !res.IsProvisional() && !req.IsInvite() {
				return // an INVITE waits for answers that come again
			}
		case <-to.Done():
			return
		case <-tx.Done():
			return
		}
	}
}

// ack sends the ACK of an answer on, which has no transaction.
func (p *proxy) ack(req *sip.Request, _ sip.ServerTransaction) {
	req.RemoveHeader("Route")
	req.SetDestination(p.connector)
	if err := p.client.WriteRequest(req, sipgo.ClientRequestAddVia, sipgo.ClientRequestDecreaseMaxForward); err != nil {
		slog.Error("no ACK", "error", err)
	}
}

func reply(req *sip.Request, tx sip.ServerTransaction, code int, reason string) {
	if err := tx.Respond(sip.NewResponseFromRequest(req, code, reason, nil)); err != nil {
		slog.Error("no response", "error", err)
	}
}
