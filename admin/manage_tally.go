package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
)

// NumbersAnswer is what became of the numbers of a request.
type NumbersAnswer struct {
	Changed   int            `json:"changed"`
	Unchanged int            `json:"unchanged"` // they were so before
	Moves     []NumbersMove  `json:"moves"`
	Failed    []FailedNumber `json:"failed"`
	NotShown  int            `json:"not_shown,omitempty"` // that failed too
	Preview
}

// NumbersMove is how many numbers went from one owner to another. Nobody is nil:
// they were unassigned or not there before, or are after.
type NumbersMove struct {
	From    *NumberOwner `json:"from"`
	To      *NumberOwner `json:"to"`
	Numbers int          `json:"numbers"`
}

// FailedNumber is a number that nothing became of.
type FailedNumber struct {
	Number string `json:"number"`
	Code   string `json:"code"`
	Text   string `json:"error"`
}

// mostFailed is how many of the numbers that failed are told of.
const mostFailed = 10_000

// tally adds up what became of numbers, over one change or many.
type tally struct {
	p      *managed
	m      *manage.Manager
	a      manage.Action
	recent recentNumbers // of a dry run

	NumbersAnswer
	calls int
	moves map[[2]inventory.Owner]int
	order [][2]inventory.Owner
}

func (p *managed) newTally(m *manage.Manager, a manage.Action) *tally {
	t := &tally{p: p, m: m, a: a, moves: make(map[[2]inventory.Owner]int)}
	t.Moves, t.Failed = []NumbersMove{}, []FailedNumber{}
	if a.Dry {
		t.recent = p.recentNumbers()
	}
	return t
}

// edit makes one change of numbers and counts what it does.
func (t *tally) edit(ctx context.Context, entries []catalog.Entry, op numbersOp) error {
	c, refusals, err := t.m.EditNumbers(ctx, t.a, entries, op)
	if err != nil {
		return err
	}
	t.Changed += len(c.Numbers)
	t.Unchanged += max(0, len(entries)-len(c.Numbers)-len(refusals))
	for _, r := range refusals {
		if len(t.Failed) == mostFailed {
			t.NotShown++
			continue
		}
		t.Failed = append(t.Failed, FailedNumber{r.Entry.String(), refusalCode(r.Refusal.Reason), r.Refusal.Text})
	}
	for _, n := range c.Numbers {
		var move [2]inventory.Owner
		if n.Before != nil {
			move[0] = n.Before.Owner
		}
		if n.After != nil {
			move[1] = n.After.Owner
		}
		if t.moves[move]++; t.moves[move] == 1 {
			t.order = append(t.order, move)
		}
	}
	if t.a.Dry {
		calls, err := t.recent.concerned(ctx, t.m, c.Numbers)
		t.calls += calls
		return err
	}
	return nil
}

func (t *tally) answer() *NumbersAnswer { return t.answerBy(t.m.Snapshot()) }

func (t *tally) answerBy(s *inventory.Snapshot) *NumbersAnswer {
	for _, move := range t.order {
		t.Moves = append(t.Moves, NumbersMove{ownerOf(s, move[0]), ownerOf(s, move[1]), t.moves[move]})
	}
	if t.a.Dry {
		t.Preview = Preview{DryRun: true, RecentCalls: &t.calls}
	}
	return &t.NumbersAnswer
}

// partly is an error that came after changes were made: of numbers, and of so
// many connectors and groups.
func (t *tally) partly(r *http.Request, err error, others int) error {
	if t.Changed+others == 0 || t.a.Dry {
		return err
	}
	f := *t.p.failure(r, err)
	f.Text = strings.Replace(f.Text, "nothing is changed", "nothing more is changed", 1) +
		fmt.Sprintf(" (changed before that, and it stays so: connectors and groups %d, numbers %d; doing it again goes on from there)", others, t.Changed)
	return &f
}
