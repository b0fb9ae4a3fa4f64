package probe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// agent is a sipgo user agent on one listener's connection.
type agent struct {
	conn   *Conn
	ua     *sipgo.UserAgent
	client *sipgo.Client
	laddr  sip.Addr // the listener's exact address, or sipgo opens a socket of its own

	host string // what Via and From say
	port int
	over string // what Via says of the transport
}

func newAgent(l Listener) (*agent, error) {
	host, portText, err := net.SplitHostPort(l.Advertise)
	if err != nil {
		return nil, fmt.Errorf("advertised address %q: %w", l.Advertise, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || host == "" {
		return nil, fmt.Errorf("advertised address %q: want host:port", l.Advertise)
	}
	if l.Conn.local.Port == 0 {
		return nil, fmt.Errorf("listener %s: no port", l.Conn.local)
	}
	a := &agent{
		conn:  l.Conn,
		laddr: sip.Addr{IP: l.Conn.local.IP, Port: l.Conn.local.Port},
		host:  host,
		port:  int(port),
		over:  cmp.Or(l.Transport, "UDP"),
	}
	// sipgo logs whole messages, at error level, for what a host sends; what
	// matters here is whether a probe was answered.
	quiet := slog.New(slog.DiscardHandler)
	a.ua, err = sipgo.NewUA(
		sipgo.WithUserAgent("tandem"),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(quiet),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}), // late or repeated
		),
	)
	if err != nil {
		return nil, err
	}
	a.client, err = sipgo.NewClient(a.ua, sipgo.WithClientLogger(quiet))
	return a, err
}

// serve reads the connection until it is closed.
func (a *agent) serve() error {
	return a.ua.TransportLayer().ServeUDP(a.conn)
}

// options sends one OPTIONS and returns the status code of the answer: that of
// the final response, or of a provisional one when ctx ends with nothing else.
// The error is ctx's, unless the request could not be sent.
func (a *agent) options(ctx context.Context, req *sip.Request) (int, error) {
	tx, err := a.client.TransactionRequest(ctx, req)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer tx.Terminate()

	code := 0
	for {
		select {
		case res := <-tx.Responses():
			code = res.StatusCode
			if res.IsProvisional() {
				continue
			}
			// The response was passed on in the middle of a transition that
			// goes on to start a timer of 32 s. Err waits for the transition's
			// end, so that Terminate finds that timer and stops it.
			_ = tx.Err()
			return code, nil
		case <-tx.Done():
			return 0, fmt.Errorf("%w: %w", errUnreachable, tx.Err())
		case <-ctx.Done():
			if code != 0 && context.Cause(ctx) == context.DeadlineExceeded {
				return code, nil
			}
			return 0, context.Cause(ctx)
		}
	}
}

// request builds the OPTIONS of RFC 3261 11.1 for a host, and returns its
// branch too. sipgo adds Call-ID and CSeq, and Max-Forwards where there is none.
func (a *agent) request(t *target) (req *sip.Request, branch string) {
	req = sip.NewRequest(sip.OPTIONS, t.recipient)
	req.SetTransport("UDP") // what the connection looks like to sipgo, whatever it is
	req.SetDestination(t.Addr.String())
	req.Laddr = a.laddr

	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: a.over, Host: a.host, Port: a.port}
	branch = sip.GenerateBranch()
	via.Params.Add("branch", branch)
	// RFC 3581: the answer then has to come from the address that was asked.
	via.Params.Add("rport", "")

	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "tandem", Host: a.host, Port: a.port}}
	if t.from != nil {
		from.Address = *t.from
	}
	from.Params.Add("tag", sip.GenerateTagN(16))

	req.AppendHeader(via)
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: t.to})
	if t.Says.HasMaxForwards {
		hops := sip.MaxForwardsHeader(t.Says.MaxForwards)
		req.AppendHeader(&hops)
	}
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.AppendHeader(sip.NewHeader("User-Agent", "tandem"))
	return req, branch
}
