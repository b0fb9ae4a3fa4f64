package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

func testPages(t *testing.T, s Store) {
	commit(t, s, adding(t, 0, east, "+15550001", "+1555", "1555", "+155500", "+1556", "112", "15550"))
	commit(t, s, adding(t, 0, sales, "+15550002", "+15551000-+15551999", "+1557*", "+155*", "15550-15559"))
	for _, c := range []struct {
		q    Query
		want string
		more bool
	}{
		{Query{Limit: 100}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 4}, "112 1555 +1555 +1556", true},
		{Query{Limit: 12}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 11, Digits: ""}, "112 1555 +1555 +1556 15550 +155500 +15550001 +15550002 15550-15559 +15551000-+15551999 +155*", true},
		{Query{Limit: 100, Digits: "+1555"}, "+1555 +155500 +15550001 +15550002 +15551000-+15551999", false},
		{Query{Limit: 100, Digits: "+155"}, "+1555 +1556 +155500 +15550001 +15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Digits: "1"}, "112 1555 15550 15550-15559", false},
		{Query{Limit: 100, Digits: "+"}, "+1555 +1556 +155500 +15550001 +15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Digits: "+2"}, "", false},
		{Query{Limit: 100, Digits: "+155500010000000"}, "", false},
		{Query{Limit: 100, Owner: &east}, "112 1555 +1555 +1556 15550 +155500 +15550001", false},
		{Query{Limit: 2, Owner: &sales}, "+15550002 15550-15559", true},
		{Query{Limit: 100, Owner: &sales, Digits: "+155"}, "+15550002 +15551000-+15551999 +155* +1557*", false},
		{Query{Limit: 100, Owner: &nobody}, "", false},
		{Query{Limit: 100, Owner: &inventory.Owner{Kind: inventory.GroupOwner, ID: "east"}}, "", false},
	} {
		p, err := s.Numbers(t.Context(), c.q)
		require.NoError(t, err)
		require.Equal(t, c.want, strings.Join(texts(p.Numbers), " "), "%+v", c.q)
		require.Equal(t, c.more, p.More, "%+v", c.q)
	}
	for _, after := range []string{"111", "112", "1555", "+1556", "+15550002", "+9", "15550-15559", "15551-15552", "+15551000-+15551999", "+99-+99", "+1*", "+155*", "+1557*", "+9*"} {
		e := entry(t, after)
		p, err := s.Numbers(t.Context(), Query{Limit: 100, After: &e})
		require.NoError(t, err)
		all, err := s.Numbers(t.Context(), Query{Limit: 100})
		require.NoError(t, err)
		want := slices.DeleteFunc(all.Numbers, func(n inventory.Number) bool { return compareEntries(n.Entry, e) <= 0 })
		require.Equal(t, texts(want), texts(p.Numbers), after)
	}
}

// Numbers that are there all the time are on exactly one page, whatever comes and
// goes beside them.
func testPagesMeanwhile(t *testing.T, s Store) {
	var stay []string
	for i := range 500 {
		stay = append(stay, fmt.Sprintf("+1555%06d", i*7))
	}
	commit(t, s, adding(t, 0, east, stay...))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			text := fmt.Sprintf("+1555%06d", i%500*7+1)
			c := inventory.Change{}
			found, err := s.Find(t.Context(), []catalog.Entry{entry(t, text)})
			if err == nil && found[0] != nil {
				c.Numbers = []inventory.NumberChange{{Before: found[0]}}
			} else {
				c = adding(t, 0, east, text)
			}
			if _, err := s.Commit(t.Context(), c); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 10 {
		var seen []string
		q := Query{Limit: 17, Owner: &east}
		for more := true; more; {
			p, err := s.Numbers(t.Context(), q)
			require.NoError(t, err)
			for _, n := range p.Numbers {
				if n.Revision == 1 {
					seen = append(seen, n.Entry.String())
				}
				q.After = &n.Entry
			}
			more = p.More
		}
		require.Equal(t, stay, seen)
	}
	close(stop)
	wg.Wait()
}
