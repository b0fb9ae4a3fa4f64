package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// ownerView is whom a number belongs to, as a node tells it; nil is nobody.
type ownerView struct {
	Group     string `json:"group,omitempty"`
	Connector string `json:"connector,omitempty"`
	ID        string `json:"id,omitempty"`
}

func (o *ownerView) String() string {
	switch {
	case o == nil:
		return "unassigned"
	case o.Group != "":
		return "group " + printable(o.Group)
	}
	return "connector " + printable(o.Connector)
}

// same reports whether both are the same owner.
func (o *ownerView) same(p *ownerView) bool {
	return o == p || o != nil && p != nil && o.Group == p.Group && o.Connector == p.Connector
}

// numbersReport is what a change of numbers does, as a node tells it. Those of
// several requests are added up.
type numbersReport struct {
	Changed     int            `json:"changed"`
	Unchanged   int            `json:"unchanged"`
	Moves       []numbersMove  `json:"moves"`
	Failed      []numberFailed `json:"failed"`
	NotShown    int            `json:"not_shown,omitempty"` // refused too, and not named
	Dry         bool           `json:"dry_run,omitempty"`
	RecentCalls *int           `json:"recent_calls,omitempty"` // nil unless it was tried dry
}

// numbersMove is how many numbers go from whom to whom.
type numbersMove struct {
	From    *ownerView `json:"from"`
	To      *ownerView `json:"to"`
	Numbers int        `json:"numbers"`
}

// numberFailed is a number for which it is refused.
type numberFailed struct {
	Number string `json:"number"`
	Code   string `json:"code"`
	Error  string `json:"error"`
}

// add adds what another request did.
func (r *numbersReport) add(more *numbersReport) {
	r.Changed += more.Changed
	r.Unchanged += more.Unchanged
	if more.RecentCalls != nil {
		sum := r.recent() + *more.RecentCalls
		r.RecentCalls = &sum
	}
	r.NotShown += more.NotShown
	r.Failed = append(r.Failed, more.Failed...)
	for _, m := range more.Moves {
		i := slices.IndexFunc(r.Moves, func(old numbersMove) bool { return old.From.same(m.From) && old.To.same(m.To) })
		if i < 0 {
			r.Moves = append(r.Moves, m)
		} else {
			r.Moves[i].Numbers += m.Numbers
		}
	}
}

// recent is how many recent calls the numbers had.
func (r *numbersReport) recent() int {
	if r.RecentCalls == nil {
		return 0
	}
	return *r.RecentCalls
}

// refused is how many numbers nothing became of.
func (r *numbersReport) refused() int { return len(r.Failed) + r.NotShown }

// taken are the moves that take numbers from an owner.
func (r *numbersReport) taken() (moves []numbersMove) {
	for _, m := range r.Moves {
		if m.From != nil && !m.From.same(m.To) {
			moves = append(moves, m)
		}
	}
	return moves
}

// writeMoves writes a line for each move that is one.
func writeMoves(out io.Writer, moves []numbersMove) {
	for _, m := range moves {
		if !m.From.same(m.To) {
			fmt.Fprintf(out, "  %s: %s -> %s\n", count(m.Numbers, "number", "numbers"), m.From, m.To)
		}
	}
}

// mostFailed is how many refused numbers are named; the rest is counted.
const mostFailed = 20

// write writes what was done to numbers: "assigned". The exit code says whether
// all of them were.
func (r *numbersReport) write(cmd *cobra.Command, output, done string) error {
	if output == asJSON {
		if r.Moves == nil {
			r.Moves = []numbersMove{}
		}
		if r.Failed == nil {
			r.Failed = []numberFailed{}
		}
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
			return err
		}
		return r.code()
	}
	var b bytes.Buffer
	if r.Dry {
		fmt.Fprintf(&b, "dry run: %s would be %s", count(r.Changed, "number", "numbers"), done)
	} else {
		fmt.Fprintf(&b, "%s %s", count(r.Changed, "number is", "numbers are"), done)
	}
	if r.Unchanged > 0 {
		fmt.Fprintf(&b, ", %d %s so before", r.Unchanged, map[bool]string{true: "was", false: "were"}[r.Unchanged == 1])
	}
	if n := r.refused(); n > 0 {
		fmt.Fprintf(&b, ", %d refused", n)
	}
	b.WriteByte('\n')
	writeMoves(&b, r.Moves)
	if r.Dry {
		fmt.Fprintf(&b, "  recent calls to them: %d\n", r.recent())
	}
	if _, err := cmd.OutOrStdout().Write(b.Bytes()); err != nil {
		return err
	}
	if err := r.writeFailed(cmd.ErrOrStderr()); err != nil {
		return err
	}
	return r.code()
}

func (r *numbersReport) writeFailed(out io.Writer) error {
	var b bytes.Buffer
	for i, f := range r.Failed {
		if i == mostFailed {
			break
		}
		fmt.Fprintf(&b, "%s: %s\n", printable(f.Number), printable(f.Error))
	}
	if more := r.refused() - min(len(r.Failed), mostFailed); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// code is the exit code: all that is to be said has been.
func (r *numbersReport) code() error {
	if r.refused() > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}
