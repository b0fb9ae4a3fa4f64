package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"tandem/router"
)

func newCalls() *cobra.Command {
	var q callsQuery
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "Show the newest calls of a running node: what was tried, and why it went on",
		Long: `Show the newest calls of a running node, the newest last: for each the caller,
the number, how it ended, and every attempt with what became of it. A node keeps
its newest calls in memory (recent_calls in its config), and a call is there once
its set-up is over: when the caller got the final response.

The first line of a call has the local time at which it began, the number as it
was looked up, the trunk with the caller's address, and the route: a group, or a
connector of its own. In the lines of its attempts, +0.50 s is when the attempt
began, counted from the beginning of the call; the times behind it are counted
from the beginning of the attempt.

Filters: all that are given have to match, and --last counts the calls that do.
A number is written as people write it, with spaces and dashes, and compared as
a whole; it is the number after the trunk's strip and prepend. --failed shows
calls that got no connector's answer: every attempt failed (exhausted), nobody
answered in time (timeout), or tandem did not let the call in (rejected).
A callee that is busy or declines has not failed.

--follow goes on with each call as it ends, until it is interrupted. When calls
end faster than they are read, a line tells how many are not shown.

--json prints each call as the node tells it, one JSON object on a line. Times
that end in _ms are milliseconds since the call began, attempts included.

The node is asked on its admin address, which takes no requests from elsewhere
by default: run this on the node's own machine. The exit code is 1 when no call
matches, and when the node cannot be asked.`,
		Example: `  tandem calls
  tandem calls --failed --last 5
  tandem calls --number "+1 555 000 0001"
  tandem calls --follow --failed-over
  tandem calls --last 1000 --json | jq -r 'select(.outcome == "refused") | .status'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.lastGiven = cmd.Flags().Changed("last")
			return calls(cmd.Context(), cmd.OutOrStdout(), &q)
		},
	}
	f := cmd.Flags()
	f.IntVar(&q.last, "last", 20, "show the newest so many that match, at most 10000")
	f.StringVar(&q.number, "number", "", "only calls to this number")
	f.StringVar(&q.callID, "call-id", "", "only the call with this Call-ID")
	f.StringVar(&q.trunk, "trunk", "", "only calls from this trunk")
	f.StringVar(&q.route, "route", "", "only calls to this group, or connector of a number in no group")
	f.BoolVar(&q.failed, "failed", false, "only calls that failed: no connector was left, time was up, not let in, a 5xx, or given up before anything rang")
	f.BoolVar(&q.failedOver, "failed-over", false, "only calls with more than one attempt")
	f.BoolVar(&q.follow, "follow", false, "go on with calls as they end")
	f.BoolVar(&q.json, "json", false, "print JSON, an object on a line")
	q.node.addTo(cmd, defaultAdminURL, "the node's admin address")
	return cmd
}

// callsQuery is what tandem calls was asked for.
type callsQuery struct {
	node                         target
	last                         int
	lastGiven                    bool
	number, callID, trunk, route string
	failed, failedOver           bool
	follow, json                 bool
}

// values is q as the node's /calls is asked.
func (q *callsQuery) values() url.Values {
	v := url.Values{}
	if q.lastGiven {
		v.Set("last", strconv.Itoa(q.last))
	}
	for key, value := range map[string]string{"number": q.number, "call_id": q.callID, "trunk": q.trunk, "route": q.route} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, value := range map[string]bool{"failed": q.failed, "failed_over": q.failedOver, "follow": q.follow} {
		if value {
			v.Set(key, "1")
		}
	}
	return v
}

func calls(ctx context.Context, out io.Writer, q *callsQuery) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &callsPrinter{out: out, json: q.json}
	if q.follow {
		return followCalls(ctx, p, q)
	}
	all, err := recentCalls(ctx, q)
	if err != nil {
		return err
	}
	for _, line := range all {
		if err := p.print(line); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return errors.New("no call matches: a node keeps its newest calls only (recent_calls in its config), and each once its set-up is over; --follow waits for those to come")
	}
	return nil
}

// callsPrinter prints calls, each as the JSON that the node sent or as a story.
type callsPrinter struct {
	out    io.Writer
	json   bool
	behind bool // something was printed already
}

// print prints one line of the node's.
func (p *callsPrinter) print(line []byte) error {
	if p.json {
		_, err := p.out.Write(append(bytes.TrimSpace(line), '\n'))
		return err
	}
	var said struct {
		router.CallRecord
		Missed uint64 `json:"missed"`
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	var text bytes.Buffer
	if p.behind {
		text.WriteByte('\n')
	}
	p.behind = true
	if said.Missed > 0 {
		fmt.Fprintf(&text, "-- %s not shown: they ended faster than they could be read\n", count(int(said.Missed), "call is", "calls are"))
	} else {
		writeCall(&text, &said.CallRecord)
	}
	_, err := p.out.Write(text.Bytes())
	return err
}
