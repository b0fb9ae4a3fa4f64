package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/store"
)

// mostNumbers is how many numbers a request may name.
const mostNumbers = 10_000

// ManagedNumber is a number as it is told, or a range or a prefix.
type ManagedNumber struct {
	Number   string       `json:"number"`
	Kind     string       `json:"kind"`  // exact, range, prefix
	Owner    *NumberOwner `json:"owner"` // nil: nobody
	Created  time.Time    `json:"created"`
	Updated  time.Time    `json:"updated"`
	Revision uint64       `json:"revision"`
}

// NumberOwner is whom a number belongs to: one of the two, by name.
type NumberOwner struct {
	Group     string `json:"group,omitempty"`
	Connector string `json:"connector,omitempty"`
	ID        string `json:"id"`
}

// NumberList is the answer of GET /v1/numbers.
type NumberList struct {
	Numbers []ManagedNumber `json:"numbers"`
	Next    string          `json:"next,omitempty"` // to go on after
}

func numberOf(s *inventory.Snapshot, n *inventory.Number) ManagedNumber {
	return ManagedNumber{
		Number: n.Entry.String(), Kind: kindWord(n.Entry.Kind), Owner: ownerOf(s, n.Owner),
		Created: n.Created.UTC(), Updated: n.Updated.UTC(), Revision: n.Revision,
	}
}

func kindWord(k catalog.Kind) string {
	return [...]string{catalog.Exact: "exact", catalog.Range: "range", catalog.Prefix: "prefix"}[k]
}

func ownerOf(s *inventory.Snapshot, o inventory.Owner) *NumberOwner {
	told := &NumberOwner{ID: o.ID}
	switch o.Kind {
	case inventory.GroupOwner:
		if g, err := s.Group(o.ID); err == nil {
			told.Group = g.Name
		}
	case inventory.ConnectorOwner:
		if c, err := s.Connector(o.ID); err == nil {
			told.Connector = c.Name
		}
	default:
		return nil
	}
	return told
}

func (p *managed) listNumbers(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored()
	if err != nil {
		return err
	}
	q, err := numbersQuery(r, m.Snapshot())
	if err != nil {
		return err
	}
	page, err := m.Numbers(r.Context(), q)
	if err != nil {
		return err
	}
	s := m.Snapshot() // not older than the numbers
	list := NumberList{Numbers: make([]ManagedNumber, 0, len(page.Numbers))}
	for i := range page.Numbers {
		list.Numbers = append(list.Numbers, numberOf(s, &page.Numbers[i]))
	}
	if n := len(list.Numbers); page.More && n > 0 {
		list.Next = list.Numbers[n-1].Number
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

// numbersQuery reads which numbers are wanted.
func numbersQuery(r *http.Request, s *inventory.Snapshot) (q store.Query, err error) {
	given, err := asked(r, "group", "connector", "unassigned", "digits", "limit", "after")
	if err != nil {
		return q, err
	}
	unassigned, err := yes(given, "unassigned")
	if err != nil {
		return q, err
	}
	owners := 0
	for _, one := range []bool{given["group"] != "", given["connector"] != "", unassigned} {
		if one {
			owners++
		}
	}
	switch {
	case owners > 1:
		return q, fail(http.StatusBadRequest, "group, connector and unassigned exclude each other; write one of them")
	case unassigned:
		q.Owner = new(inventory.Owner)
	case owners == 1:
		owner, err := s.OwnerOf(given["connector"], given["group"])
		if err != nil {
			return q, err
		}
		q.Owner = &owner
	}
	// A "+" in a query means a space, and no number is written with one.
	q.Digits = strings.ReplaceAll(given["digits"], " ", "+")
	if digits := strings.TrimPrefix(q.Digits, "+"); len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return q, invalid("digits", `write what numbers begin with, as in +1555: a "+" or none, and at most 15 digits`)
	}
	if after, ok := given["after"]; ok {
		entry, err := catalog.ParseEntry([]byte(strings.ReplaceAll(after, " ", "+")))
		if err != nil {
			return q, invalid("after", "is no number; write what was told as next")
		}
		q.After = &entry
	}
	q.Limit, err = limitOf(given)
	return q, err
}

func (p *managed) showNumber(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored()
	if err != nil {
		return err
	}
	if _, err := asked(r); err != nil {
		return err
	}
	n, err := oneOf(r.Context(), m, r.PathValue("number"))
	if err != nil {
		return err
	}
	etag(w, n.Revision)
	sayJSON(w, http.StatusOK, numberOf(m.Snapshot(), n))
	return nil
}

// oneOf finds a number, or a range or a prefix as it is written.
func oneOf(ctx context.Context, m *manage.Manager, text string) (*inventory.Number, error) {
	entry, err := catalog.ParseEntry([]byte(text))
	if err != nil {
		return nil, invalid("number", "%s", err)
	}
	found, err := m.Find(ctx, []catalog.Entry{entry})
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, fail(http.StatusNotFound, "%s is not in the inventory", entry)
	}
	return found[0], nil
}

// entriesOf reads numbers, ranges and prefixes, each once.
func entriesOf(numbers []string) ([]catalog.Entry, error) {
	if len(numbers) == 0 {
		return nil, invalid("numbers", "is empty; write numbers, ranges A-B or prefixes X*")
	}
	entries := make([]catalog.Entry, 0, len(numbers))
	for i, text := range numbers {
		entry, err := catalog.ParseEntry([]byte(text))
		if err != nil {
			return nil, invalid("numbers"+index(i), "%s", err)
		}
		entries = append(entries, entry)
	}
	return once(entries), nil
}

// once is a list without what it has twice, in its order.
func once(entries []catalog.Entry) []catalog.Entry {
	seen := make(map[catalog.Entry]bool, len(entries))
	return slices.DeleteFunc(entries, func(e catalog.Entry) bool {
		again := seen[e]
		seen[e] = true
		return again
	})
}

// withNumbers adds to why an owner cannot be deleted the first of its numbers.
func (p *managed) withNumbers(r *http.Request, err error, kind inventory.OwnerKind) error {
	const few = 5
	var refusal *inventory.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != inventory.InUse {
		return err
	}
	s := p.manager.Snapshot()
	owner := inventory.Owner{Kind: kind}
	if kind == inventory.GroupOwner {
		if g, err := s.Group(r.PathValue("ref")); err == nil {
			owner.ID = g.ID
		}
	} else if c, err := s.Connector(r.PathValue("ref")); err == nil {
		owner.ID = c.ID
	}
	page, failed := p.manager.Numbers(r.Context(), store.Query{Owner: &owner, Limit: few})
	if failed != nil {
		return err // what is known without them
	}
	more := *refusal
	more.Blocking = slices.Clone(refusal.Blocking)
	for i := range page.Numbers {
		more.Blocking = append(more.Blocking, page.Numbers[i].Entry.String())
	}
	return &more
}
